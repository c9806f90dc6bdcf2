import { GetItemCommand } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { recordsIn, spentIn } from '../../../lambda/usage/account.ts';
import type { Ledger, Reserved } from '../../../lambda/usage/ledger.ts';
import { LedgerUnavailable } from '../../../lambda/usage/table.ts';
import { allUsage, createLedgerTable, openTestLedger, payer, startDynamoDb, used } from './fixture.ts';

vi.setConfig({ testTimeout: 60_000 });
const dynamoDb = await startDynamoDb();
afterAll(() => dynamoDb.close());

let table: string;
let now: number;
let ledger: Ledger;
beforeEach(async () => {
  table = await createLedgerTable(dynamoDb.client);
  now = Date.parse('2026-11-10T12:00:30Z');
  ledger = openTestLedger(table, { now: () => now });
});

const item = async (account = 'consumer:alice', month = '2026-11') => {
  const key = { pk: { S: `account#${account}` }, sk: { S: month } };
  return (await dynamoDb.client.send(new GetItemCommand({ TableName: table, Key: key, ConsistentRead: true }))).Item;
};

const ask = (nano: number, overrides: Parameters<typeof payer>[0] = {}, tokens = 100) => ({
  payer: payer({ budgetNano: 100_000, ...overrides }),
  ...{ nano, tokens, enforceBudgets: true },
});

function granted(reserved: Reserved) {
  if (!reserved.ok) throw new Error(`refused: ${reserved.refusal.limit}`);
  return reserved.reservation;
}

/** DynamoDB takes 4 KB of each at most; the one on this machine doesn't look. @returns the longest one's bytes, as of now */
function expressionsOf({ table: { update }, table }: Ledger): () => number {
  let longest = 0;
  table.update = (input) => {
    const expressions = [input.UpdateExpression, input.ConditionExpression].map((text = '') => text.length);
    longest = Math.max(longest, ...expressions);
    return update.call(table, input);
  };
  return () => longest;
}

describe('a budget', () => {
  test('that fits 100 of 1,000 requests at once lets through 100', async () => {
    const results = await Promise.all(Array.from({ length: 1000 }, () => ledger.reserve(ask(1000))));
    expect(results.filter(({ ok }) => ok)).toHaveLength(100);
    const refused = results.flatMap((result) => (result.ok ? [] : [result]));
    expect(new Set(refused.map(({ refusal }) => refusal.limit))).toEqual(new Set(['consumer budget']));
    expect(refused.filter(({ isExhausted }) => isExhausted)).toHaveLength(1);
  });

  test('has room again for what requests turned out to cost less', async () => {
    const reservation = granted(await ledger.reserve(ask(100_000)));
    expect((await ledger.reserve(ask(1))).ok).toBe(false);
    await ledger.settle(reservation, used(40_000));
    expect((await ledger.reserve(ask(60_001))).ok).toBe(false);
    expect((await ledger.reserve(ask(60_000))).ok).toBe(true);
  });

  test('has all its room again after a request that cost nothing', async () => {
    const reservation = granted(await ledger.reserve(ask(100_000)));
    await ledger.settle(reservation, undefined);
    expect((await ledger.reserve(ask(100_000))).ok).toBe(true);
    expect(await allUsage(ledger, 'consumer:alice', 0, now + 1)).toEqual([]);
  });

  test('gets back what requests reserved whose process died, and not before they could be over', async () => {
    granted(await ledger.reserve(ask(100_000)));
    now += 55_000;
    expect((await ledger.reserve(ask(100_000))).ok).toBe(false);
    now += 40_000;
    const late = await Promise.all([1, 2, 3].map(() => ledger.reserve(ask(50_000))));
    expect(late.filter(({ ok }) => ok)).toHaveLength(2);
    expect(spentIn(await item(), 'c:alice')).toBe(0);
  });

  test('counts a settlement that comes after its reservation was given back', async () => {
    const late = granted(await ledger.reserve(ask(100_000)));
    now += 95_000;
    granted(await ledger.reserve(ask(90_000)));
    await ledger.settle(late, used(30_000));
    expect(spentIn(await item(), 'c:alice')).toBe(30_000);
    expect((await item())?.['c:alice/k']?.N).toBe('120000');
  });

  test('begins anew with the month, and a request counts for the month in which it began', async () => {
    now = Date.parse('2026-11-30T23:59:59Z');
    const reservation = granted(await ledger.reserve(ask(100_000)));
    now = Date.parse('2026-12-01T00:00:01Z');
    expect((await ledger.reserve(ask(100_000))).ok).toBe(true);
    await ledger.settle(reservation, used(70_000));
    expect(spentIn(await item(), 'c:alice')).toBe(70_000);
    expect(spentIn(await item('consumer:alice', '2026-12'), 'c:alice')).toBe(0);
    expect(await allUsage(ledger, 'consumer:alice', Date.parse('2026-11-01'), Date.parse('2026-12-01'))).toHaveLength(
      1,
    );
  });

  test('of a team holds for its consumers together, each with a budget of its own', async () => {
    const team = { team: 'search', teamBudgetNano: 100_000, budgetNano: 80_000 };
    const alice = granted(await ledger.reserve(ask(80_000, team)));
    const refused = await ledger.reserve(ask(30_000, { ...team, consumer: 'bob' }));
    expect(refused).toMatchObject({ ok: false, refusal: { limit: 'team budget', maximum: 100_000 } });
    expect((await ledger.reserve(ask(20_000, { ...team, consumer: 'bob' }))).ok).toBe(true);
    await ledger.settle(alice, used(79_000));
    expect(await ledger.reserve(ask(1001, { ...team, teamBudgetNano: 200_000 }))).toMatchObject({
      ok: false,
      refusal: { limit: 'consumer budget' },
    });
    const account = await item('team:search');
    expect([spentIn(account, 'c:alice'), spentIn(account, 't:search')]).toEqual([79_000, 79_000]);
  });

  test('of a team of several hundred gives back what all of them reserved who died', async () => {
    const team = { team: 'search', teamBudgetNano: 300_000, budgetNano: undefined };
    const longestExpression = expressionsOf(ledger);
    for (let i = 0; i < 300; i++) granted(await ledger.reserve(ask(1000, { ...team, consumer: `consumer-${i}` })));
    now += 95_000;
    expect((await ledger.reserve(ask(300_000, { ...team, consumer: 'late' }))).ok).toBe(true);
    expect(spentIn(await item('team:search'), 't:search')).toBe(0);
    expect(longestExpression()).toBeLessThanOrEqual(4096);
  });

  test('that could never hold a request refuses it without asking the table', async () => {
    const result = await ledger.reserve(ask(100_001));
    expect(result).toMatchObject({
      ok: false,
      refusal: { never: true, retryAfterMs: 20 * 86_400_000 + 12 * 3_600_000 - 30_000 },
    });
    expect(await item()).toBeUndefined();
  });

  test('tells each threshold once, however many requests pass it at the same time', async () => {
    const reservations = await Promise.all(Array.from({ length: 100 }, () => ledger.reserve(ask(1000))));
    const settled = await Promise.all(reservations.map((each) => ledger.settle(granted(each), used(1000))));
    const crossed = settled.flatMap(({ crossings }) => crossings);
    expect(crossed.map(({ threshold }) => threshold).sort()).toEqual([0.5, 0.8, 1]);
    expect(crossed.find(({ threshold }) => threshold === 0.8)).toMatchObject({
      spentNano: 80_000,
      budgetNano: 100_000,
    });
  });

  test('whose last dollars fit nobody is told of as spent once, by the first refusal', async () => {
    const reservation = granted(await ledger.reserve(ask(60_000)));
    const refusals = [await ledger.reserve(ask(60_000)), await ledger.reserve(ask(60_000))];
    expect(refusals.map((each) => !each.ok && each.isExhausted)).toEqual([true, false]);
    const { crossings } = await ledger.settle(reservation, used(110_000));
    expect(crossings.map(({ threshold }) => threshold)).toEqual([0.5, 0.8]);
  });
});

test('a settlement that is tried again looks whether another run of the job has made it, and it was moved', async () => {
  const other = openTestLedger(table, { now: () => now });
  const reservation = granted(await ledger.reserve(ask(1000)));
  const { table: calls } = ledger;
  const { update } = calls;
  calls.update = async () => {
    calls.update = update;
    const record = { ...used(700), id: 'run-1', at: reservation.at, consumer: 'alice' };
    await other.settleAgain(reservation.payer, record);
    for (let i = 0; i < 6; i++) await other.settle(granted(await other.reserve(ask(1))), used(1));
    expect(recordsIn(await item())).not.toContain('urun-1');
    throw new LedgerUnavailable(Object.assign(new Error('slow down'), { name: 'ThrottlingException' }));
  };
  await ledger.settle(reservation, used(700), 'run-1');
  expect(spentIn(await item(), 'c:alice')).toBe(706);
});

describe('a minute', () => {
  const minute = (tokens: number, overrides: Parameters<typeof payer>[0] = {}) =>
    ask(0, { budgetNano: undefined, tokensPerMinute: 1000, ...overrides }, tokens);

  test('of several hundred consumers of a team, once it is over, keeps nobody from settling', async () => {
    const team = { team: 'search', requestsPerMinute: 10 };
    const longestExpression = expressionsOf(ledger);
    for (let i = 0; i < 350; i++) granted(await ledger.reserve(minute(1, { ...team, consumer: `consumer-${i}` })));
    now += 180_000;
    for (let i = 0; i < 10; i++) await ledger.settle(granted(await ledger.reserve(minute(1, team))), used(10));
    const left = Object.keys((await item('team:search')) ?? {}).filter((name) => /^c:consumer.*\/[wq]/.test(name));
    expect(left).toEqual([]);
    expect(longestExpression()).toBeLessThanOrEqual(4096);
  });

  test('lets through exactly the tokens that fit, and the next one again', async () => {
    const results = await Promise.all(Array.from({ length: 50 }, () => ledger.reserve(minute(100))));
    expect(results.filter(({ ok }) => ok)).toHaveLength(10);
    const refused = results.find(({ ok }) => !ok);
    expect(refused).toMatchObject({
      refusal: { limit: 'tokens per minute', retryAfterMs: 30_000 },
      minute: { tokens: 0 },
    });
    now += 30_000;
    expect((await ledger.reserve(minute(1000))).ok).toBe(true);
  });

  test('has room again for tokens that requests turned out not to need', async () => {
    const reservation = granted(await ledger.reserve(minute(900)));
    await ledger.settle(reservation, used(5, 200));
    expect(await ledger.reserve(minute(800))).toMatchObject({ ok: true, minute: { tokens: 0 } });
  });

  test('that is over is not counted in again by a late settlement', async () => {
    const reservation = granted(await ledger.reserve(minute(900)));
    now += 60_000;
    expect((await ledger.reserve(minute(1000))).ok).toBe(true);
    await ledger.settle(reservation, used(5, 200));
    expect((await ledger.reserve(minute(1))).ok).toBe(false);
  });

  test('counts requests, too', async () => {
    const results = await Promise.all(
      Array.from({ length: 9 }, () => ledger.reserve(minute(1, { requestsPerMinute: 3 }))),
    );
    expect(results.filter(({ ok }) => ok)).toHaveLength(3);
    expect(results.at(-1)).toMatchObject({ refusal: { limit: 'requests per minute' } });
  });

  test('leaves nothing behind: an item stays small in a month of minutes', async () => {
    for (let index = 0; index < 30; index++) {
      const reservation = granted(await ledger.reserve(minute(10, { budgetNano: 1_000_000, requestsPerMinute: 5 })));
      await ledger.settle(reservation, undefined);
      now += 7 * 60_000;
    }
    expect(Object.keys((await item()) ?? {}).length).toBeLessThan(12);
  });
});

describe('settlement', () => {
  test('happens once: a repetition changes nothing, even when the record has been moved meanwhile', async () => {
    // The first answer is lost on its way: the client sees a time-out, the table has the write.
    const flaky = openTestLedger(table, { now: () => now });
    const update = flaky.table.update.bind(flaky.table);
    const { LedgerUnavailable } = await import('../../../lambda/usage/table.ts');
    let lost = 0;
    flaky.table.update = async (input) => {
      const result = await update(input);
      const isSettlement = Object.values(input.ExpressionAttributeNames ?? {}).some((name) => name.startsWith('u'));
      if (!isSettlement || lost++ > 0) return result;
      for (let index = 0; index < 16; index++) await ledger.settle(ledger.unreserved(payer()), used(1));
      throw new LedgerUnavailable(new Error('socket hang up'));
    };
    const reservation = granted(await flaky.reserve(ask(50_000)));
    await flaky.settle(reservation, used(20_000));
    expect(spentIn(await item(), 'c:alice')).toBe(20_016);
    expect(await allUsage(ledger, 'consumer:alice', now - 1, now + 1)).toHaveLength(17);
  });

  test('that fails is made up for by the next one', async () => {
    const gone = openTestLedger(table, { now: () => now });
    const update = gone.table.update.bind(gone.table);
    const { LedgerUnavailable } = await import('../../../lambda/usage/table.ts');
    let isDown = true;
    gone.table.update = async (input) => {
      if (isDown) throw new LedgerUnavailable(Object.assign(new Error('slow'), { name: 'ThrottlingException' }));
      return update(input);
    };
    await expect(gone.settle(gone.unreserved(payer()), used(5))).rejects.toThrow(LedgerUnavailable);
    isDown = false;
    await gone.settle(gone.unreserved(payer()), used(7));
    const records = await allUsage(ledger, 'consumer:alice', now - 1, now + 1);
    expect(records.map(({ bills }) => bills[0]?.costNano).sort()).toEqual([5, 7]);
  });

  test('of many at once loses none and counts none twice, while their records are moved', async () => {
    const many = Array.from({ length: 300 }, (_, index) => index + 1);
    const ledgers = [ledger, openTestLedger(table, { now: () => now }), openTestLedger(table, { now: () => now })];
    await Promise.all(many.map((cost) => ledgers[cost % 3]?.settle(ledger.unreserved(payer()), used(cost))));
    const records = await allUsage(ledger, 'consumer:alice', now - 1, now + 1);
    expect(records.map(({ bills }) => bills[0]?.costNano ?? 0).sort((a, b) => a - b)).toEqual(many);
    expect(spentIn(await item(), 'c:alice')).toBe((300 * 301) / 2);
    for (let index = 0; index < 16; index++) await ledger.settle(ledger.unreserved(payer()), used(1));
    expect(recordsIn(await item()).length).toBeLessThan(60);
  });
});

describe('a process that is killed while it moves records', () => {
  class Killed extends Error {}

  /** Dies at a call: before it is made, or once the table has carried it out. */
  function mortal(dies: { readonly at: number; readonly isCarriedOut: boolean }): { ledger: Ledger; calls: string[] } {
    const ledger = openTestLedger(table, { now: () => now });
    const calls: string[] = [];
    for (const name of ['get', 'put', 'update'] as const) {
      const original = ledger.table[name].bind(ledger.table) as (input: unknown) => Promise<never>;
      Object.assign(ledger.table, {
        [name]: async (input: unknown) => {
          if (calls.length > dies.at) throw new Killed();
          const isLast = calls.push(name) > dies.at;
          if (isLast && !dies.isCarriedOut) throw new Killed();
          const result = await original(input);
          if (isLast) throw new Killed();
          return result;
        },
      });
    }
    return { ledger, calls };
  }

  const costs = async (): Promise<number[]> =>
    (await allUsage(ledger, 'consumer:alice', now - 200_000, now + 1)).map(({ bills }) => bills[0]?.costNano ?? 0);

  const limited = (budgetNano = 1_000_000) => ask(1000, { budgetNano });
  const serve = async (by: Ledger, cost: number): Promise<void> => {
    await by.settle(granted(await by.reserve(limited())), used(cost));
  };
  const serveUnlimited = async (by: Ledger, cost: number): Promise<void> => {
    await by.settle(by.unreserved(payer()), used(cost));
  };

  /** Where the sixth request's process dies, and whether its cost was counted before. */
  const moments = (calls: readonly string[], countedBy: number) =>
    calls.flatMap((call, at) =>
      [false, true].map((isCarriedOut) => ({
        ...{ call, at, isCarriedOut, calls: calls.slice(0, at + 1) },
        isCounted: at > countedBy || (at === countedBy && isCarriedOut),
      })),
    );

  test.each(moments(['update', 'get', 'put', 'update'], 3))(
    'loses nothing and counts nothing twice: $call, number $at, carried out: $isCarriedOut',
    async ({ at, isCarriedOut, calls: expected, isCounted }) => {
      for (const cost of [1, 2, 3, 4, 5]) await serve(ledger, cost);
      const { ledger: dying, calls } = mortal({ at, isCarriedOut });
      await expect(serve(dying, 100)).rejects.toThrow(Killed);
      expect(calls).toEqual(expected);
      const before = isCounted ? [1, 2, 3, 4, 5, 100] : [1, 2, 3, 4, 5];
      expect((await costs()).sort((a, b) => a - b)).toEqual(before);
      // Others move what it left, and take its reservation back when it is over.
      for (let cost = 1001; cost <= 1012; cost++) await serve(ledger, cost);
      now += 95_000;
      const counted = [...before, ...Array.from({ length: 12 }, (_, index) => 1001 + index)];
      const sum = counted.reduce((all, each) => all + each, 0);
      granted(await ledger.reserve(limited(sum + 1000)));
      expect((await costs()).sort((a, b) => a - b)).toEqual(counted);
      expect(spentIn(await item(), 'c:alice')).toBe(sum);
      expect((await item())?.['c:alice/k']?.N).toBe(String(sum + 1000));
      expect(recordsIn(await item()).length).toBeLessThan(12);
    },
  );

  test.each(moments(['update', 'put', 'update'], 0))(
    'nor where nothing is reserved: $call, number $at, carried out: $isCarriedOut',
    async ({ at, isCarriedOut, calls: expected, isCounted }) => {
      for (const cost of [1, 2, 3, 4, 5]) await serveUnlimited(ledger, cost);
      const { ledger: dying, calls } = mortal({ at, isCarriedOut });
      await expect(serveUnlimited(dying, 100)).rejects.toThrow(Killed);
      expect(calls).toEqual(expected);
      for (let cost = 1001; cost <= 1012; cost++) await serveUnlimited(ledger, cost);
      const before = isCounted ? [1, 2, 3, 4, 5, 100] : [1, 2, 3, 4, 5];
      const counted = [...before, ...Array.from({ length: 12 }, (_, index) => 1001 + index)];
      expect((await costs()).sort((a, b) => a - b)).toEqual(counted);
      expect(spentIn(await item(), 'c:alice')).toBe(counted.reduce((all, each) => all + each, 0));
      expect(recordsIn(await item()).length).toBeLessThan(12);
    },
  );

  test('in random interleavings of three processes, money and records agree', async () => {
    const random = randomOf(7);
    for (let round = 0; round < 6; round++) {
      const processes = Array.from({ length: 3 }, () =>
        mortal({ at: 5 + Math.floor(random() * 60), isCarriedOut: random() < 0.5 }),
      );
      const deaths = await Promise.allSettled(
        processes.map(async ({ ledger: dying }) => {
          for (;;) await (random() < 0.7 ? serve : serveUnlimited)(dying, 1 + Math.floor(random() * 50));
        }),
      );
      for (const death of deaths) expect(death).toMatchObject({ reason: expect.any(Killed) });
    }
    now += 95_000;
    for (let index = 0; index < 12; index++) await serve(ledger, 1);
    const sum = (await costs()).reduce((all, each) => all + each, 0);
    expect(spentIn(await item(), 'c:alice')).toBe(sum);
    granted(await ledger.reserve(limited(sum + 1000)));
    expect((await item())?.['c:alice/k']?.N).toBe(String(sum + 1000));
  });
});

test('a request with limits is two writes, and of six one makes a third', async () => {
  const writes: string[] = [];
  for (const name of ['put', 'update'] as const) {
    const original = ledger.table[name].bind(ledger.table) as (input: unknown) => Promise<never>;
    Object.assign(ledger.table, {
      [name]: async (input: unknown) => {
        writes.push(name);
        return original(input);
      },
    });
  }
  for (let index = 0; index < 24; index++) {
    await ledger.settle(granted(await ledger.reserve(ask(1000))), used(1));
  }
  expect(writes.filter((name) => name === 'update')).toHaveLength(48);
  expect(writes.filter((name) => name === 'put')).toHaveLength(4);
  expect(recordsIn(await item()).length).toBeLessThanOrEqual(6);
});

/** Numerical Recipes' linear congruential generator. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
