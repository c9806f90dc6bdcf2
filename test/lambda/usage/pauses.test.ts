import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { PauseWatch } from '../../../lambda/usage/pause-watch.ts';
import { markTold, PAUSES_KEY, pause, pausesIn, resume } from '../../../lambda/usage/pauses.ts';
import { LedgerTable } from '../../../lambda/usage/table.ts';
import { createLedgerTable, openTestLedger, payer, startDynamoDb, type TestDynamoDb, used } from './fixture.ts';

const NOW = Date.parse('2026-11-11T10:00:00Z');
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const CHAT = { kind: 'model', name: 'chat' } as const;
const ALICE = { kind: 'consumer', name: 'alice' } as const;

let dynamoDb: TestDynamoDb;
let table: LedgerTable;
beforeAll(async () => {
  dynamoDb = await startDynamoDb();
});
afterAll(() => dynamoDb.close());
beforeEach(async () => {
  table = new LedgerTable(await createLedgerTable(dynamoDb.client), 30_000);
});

const list = async (now = NOW) => pausesIn(await table.get(PAUSES_KEY), now);
const byAlarm = (since: number, until?: number) =>
  ({
    since,
    by: 'alarm',
    reason: 'too dear',
    detail: 'alarm Spend',
    ...(until === undefined ? {} : { until }),
  }) as const;
const byOperator = (since: number, until?: number) =>
  ({ since, by: 'operator', ...(until === undefined ? {} : { until }) }) as const;

describe('a pause', () => {
  test('holds until it is resumed, and says who, why and since when', async () => {
    await pause(table, CHAT, byAlarm(NOW));
    await pause(table, { kind: 'team', name: 'red' }, byOperator(NOW + 1));
    expect(await list(NOW + 1000 * HOUR)).toMatchObject([
      { ...CHAT, since: NOW, by: 'alarm', reason: 'too dear', detail: 'alarm Spend', told: false },
      { kind: 'team', name: 'red', by: 'operator', told: true },
    ]);
    expect(await resume(table, CHAT, NOW + HOUR)).toMatchObject({ since: NOW });
    expect(await list()).toMatchObject([{ kind: 'team', name: 'red' }]);
    expect(await resume(table, CHAT, NOW + HOUR)).toBeUndefined();
  });

  test('ends by itself at its time', async () => {
    await pause(table, ALICE, byOperator(NOW, NOW + HOUR));
    expect(await list(NOW + HOUR - 1)).toHaveLength(1);
    expect(await list(NOW + HOUR)).toEqual([]);
  });

  test('is made once by an alarm that is delivered twice, and not again after it was resumed', async () => {
    expect(await pause(table, CHAT, byAlarm(NOW))).toMatchObject(CHAT);
    expect(await pause(table, CHAT, byAlarm(NOW))).toBeUndefined();
    await resume(table, CHAT, NOW + MINUTE);
    expect(await pause(table, CHAT, byAlarm(NOW))).toBeUndefined();
    expect(await list()).toEqual([]);
    expect(await pause(table, CHAT, byAlarm(NOW + HOUR))).toMatchObject(CHAT);
  });

  test('is not shortened by an alarm, but lengthened; an operator may do either', async () => {
    await pause(table, CHAT, byOperator(NOW, NOW + 2 * HOUR));
    expect(await pause(table, CHAT, byAlarm(NOW + 1, NOW + HOUR))).toBeUndefined();
    await pause(table, CHAT, byAlarm(NOW + 2, NOW + 3 * HOUR));
    expect(await list()).toMatchObject([{ by: 'alarm', until: NOW + 3 * HOUR }]);
    // Also one whose clock is behind.
    await pause(table, CHAT, byOperator(NOW - HOUR, NOW + MINUTE));
    expect(await list()).toMatchObject([{ by: 'operator', until: NOW + MINUTE }]);
    await resume(table, CHAT, NOW - HOUR);
    expect(await list()).toEqual([]);
  });

  test('survives others that are made and ended at the same time', async () => {
    const names = Array.from({ length: 20 }, (_, index) => `m${index}`);
    await Promise.all(names.map((name) => pause(table, { kind: 'model', name }, byAlarm(NOW))));
    await Promise.all(names.slice(0, 10).map((name) => resume(table, { kind: 'model', name }, NOW + 1)));
    expect((await list()).map(({ name }) => name).sort()).toEqual(names.slice(10).sort());
  });

  test('is one for a subject, however many pause it at once', async () => {
    const made = await Promise.all(Array.from({ length: 5 }, () => pause(table, CHAT, byAlarm(NOW))));
    expect(made.filter((each) => each !== undefined)).toHaveLength(1);
  });

  test('is told of once, and a later one anew', async () => {
    const made = await pause(table, CHAT, byAlarm(NOW));
    if (made === undefined) throw new Error('not made');
    await markTold(table, made);
    expect(await list()).toMatchObject([{ told: true }]);
    await resume(table, CHAT, NOW + 1);
    await pause(table, CHAT, byAlarm(NOW + 2));
    // Of the first, by somebody who is late.
    await markTold(table, made);
    expect(await list()).toMatchObject([{ told: false }]);
  });

  test('that was over long ago is cleared away by the next', async () => {
    await pause(table, ALICE, byAlarm(NOW, NOW + HOUR));
    await pause(table, CHAT, byAlarm(NOW));
    await resume(table, CHAT, NOW + HOUR);
    await pause(table, { kind: 'team', name: 'red' }, byAlarm(NOW + 40 * 24 * HOUR));
    const attributes = Object.keys((await table.get(PAUSES_KEY)) ?? {}).sort();
    expect(attributes).toEqual(['pk', 'sk', 't:red']);
  });
});

describe('what a process knows of pauses', () => {
  /** A watch by the test's clock, whose reads are counted. */
  function watchOf() {
    const state = { now: NOW, reads: 0, fails: false };
    const get: LedgerTable['get'] = (key) => {
      state.reads += 1;
      return state.fails ? Promise.reject(new Error('down')) : table.get(key);
    };
    return { state, watch: new PauseWatch({ get }, () => state.now) };
  }

  const asker = { consumer: 'alice', team: 'red', model: 'chat' };

  test.each([CHAT, ALICE, { kind: 'team', name: 'red' } as const])('ends the requests of %j', async (subject) => {
    await pause(table, subject, byAlarm(NOW));
    const { watch } = watchOf();
    await watch.ready();
    expect(watch.refusal(asker)).toMatchObject({ status: 403, code: `${subject.kind}_paused` });
    expect(watch.refusal({ consumer: 'bob', model: 'other' })).toBeUndefined();
  });

  test('is read once for many requests, and anew only after some seconds', async () => {
    const { watch, state } = watchOf();
    await Promise.all(Array.from({ length: 50 }, () => watch.ready()));
    state.now += 4_999;
    await watch.ready();
    expect(state.reads).toBe(1);
  });

  test('is never older than 15 seconds', async () => {
    const { watch, state } = watchOf();
    await watch.ready();
    await pause(table, CHAT, byAlarm(NOW));
    state.now += 6_000;
    // This one asks for news and doesn't wait for it.
    await watch.ready();
    await expect.poll(() => watch.refusal(asker)).toBeDefined();
    await resume(table, CHAT, NOW + 1);
    state.now += 15_000;
    await watch.ready();
    expect(watch.refusal(asker)).toBeUndefined();
  });

  test('is read anew when the clock was set back, and a failure from then is forgotten', async () => {
    const { watch, state } = watchOf();
    await watch.ready();
    await pause(table, CHAT, byAlarm(NOW - 3_600_000));
    state.now -= 3_600_000;
    state.fails = true;
    await expect(watch.ready()).rejects.toThrow('down');
    state.now -= 3_600_000;
    state.fails = false;
    await watch.ready();
    expect(watch.refusal(asker)).toMatchObject({ code: 'model_paused' });
  });

  test('is what was known while the table is down, and the next requests do not wait for it', async () => {
    await pause(table, CHAT, byAlarm(NOW));
    const { watch, state } = watchOf();
    await watch.ready();
    state.now += 20_000;
    state.fails = true;
    await expect(watch.ready()).rejects.toThrow('down');
    expect(watch.refusal(asker)).toBeDefined();
    const { reads } = state;
    await expect(watch.ready()).rejects.toThrow('down');
    expect(state.reads).toBe(reads);
    state.now += 5_000;
    state.fails = false;
    await watch.ready();
  });
});

describe('a hard limit', () => {
  const limits = (hourNano?: number, dayNano?: number) =>
    payer({ hardLimits: { hourNano, dayNano, pauseMs: undefined } });

  test('is crossed by one of many requests that settle at once', async () => {
    const ledger = openTestLedger(table.name, { now: () => NOW });
    const settled = await Promise.all(
      Array.from({ length: 30 }, () => ledger.settle(ledger.unreserved(limits(100)), used(7))),
    );
    const crossings = settled.flatMap(({ hardCrossings }) => hardCrossings);
    // 210 in all: the limit, and twice that.
    expect(crossings.map(({ spentNano }) => spentNano)).toEqual([105, 203]);
    expect(crossings[0]).toEqual({ consumer: 'alice', per: 'hour', since: NOW, spentNano: 105, limitNano: 100 });
  });

  test('begins anew with the hour, and the day goes on', async () => {
    let now = NOW + 59 * MINUTE;
    const ledger = openTestLedger(table.name, { now: () => now });
    const spend = async (nano: number) =>
      (await ledger.settle(ledger.unreserved(limits(100, 250)), used(nano))).hardCrossings;
    expect(await spend(90)).toEqual([]);
    now += 2 * MINUTE;
    expect(await spend(90)).toEqual([]);
    now += HOUR;
    expect(await spend(90)).toMatchObject([{ per: 'day', spentNano: 270, since: Date.parse('2026-11-11T00:00:00Z') }]);
    expect(await spend(20)).toMatchObject([{ per: 'hour', spentNano: 110 }]);
  });

  test('leaves no sums of hours long gone behind', async () => {
    let now = NOW;
    const ledger = openTestLedger(table.name, { now: () => now });
    for (let index = 0; index < 40; index++) {
      await ledger.settle(ledger.unreserved(limits(1_000_000)), used(1));
      now += HOUR / 2;
    }
    const item = await table.get({ pk: { S: 'account#consumer:alice' }, sk: { S: '2026-11' } });
    const hours = Object.keys(item ?? {}).filter((name) => /\/h\d+$/.test(name));
    expect(hours.length).toBeLessThan(14);
  });

  test('costs a request no write', async () => {
    const ledger = openTestLedger(table.name, { now: () => NOW });
    let writes = 0;
    const update = ledger.table.update.bind(ledger.table);
    ledger.table.update = (input) => {
      writes += 1;
      return update(input);
    };
    for (let index = 0; index < 5; index++) await ledger.settle(ledger.unreserved(limits(1_000_000)), used(1));
    expect(writes).toBe(5);
  });
});
