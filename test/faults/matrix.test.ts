import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { toNano } from '../../lambda/usage/money.ts';
import { budgetedTier, ledgerConfig, ledgerOf } from '../lambda/support/ledger.ts';
import { openAiBackend } from '../lambda/support/serving.ts';
import { Upstream } from '../lambda/support/upstream.ts';
import { createLedgerTable, startDynamoDb, type TestDynamoDb } from '../lambda/usage/fixture.ts';
import { type Alone, FAULTS, type Fault, HEALTHY_TEXT, healthy } from './catalog.ts';
import { holdsTable } from './document.ts';
import { billed, exchange, type Faulty, nameOf, startFaulty } from './drive.ts';

const POSITIONS = ['first of two', 'last of two', 'only'] as const;

type Position = (typeof POSITIONS)[number];
const cells = new Map<string, string>();
const unhandled: unknown[] = [];
const onUnhandled = (reason: unknown) => unhandled.push(reason);
let second: Upstream;
let dynamoDb: TestDynamoDb;

beforeAll(async () => {
  process.on('unhandledRejection', onUnhandled);
  second = await Upstream.start(healthy);
  dynamoDb = await startDynamoDb();
});
afterAll(async () => {
  process.off('unhandledRejection', onUnhandled);
  await second.stop();
  await dynamoDb.close();
});

/** What the rule of a fault makes of it at a place in the chain. */
function expected({ stream, whole }: Fault, streamed: boolean, position: Position): string {
  const alone: Alone = streamed ? stream : whole;
  const isFinal = position !== 'first of two' || alone === 'answer' || /^4(00|13|22)/.test(alone);
  if (isFinal) return alone;
  return alone === 'part, then APIError' ? 'resumed by the next' : 'the next answers';
}

describe.each(FAULTS.map((fault) => [fault.name, fault] as const))('%s', (name, fault) => {
  let faulty: Faulty;
  beforeAll(async () => {
    faulty = await startFaulty(fault, 'faulty');
  });
  afterAll(() => faulty.server.stop());

  for (const streamed of [true, false]) {
    for (const position of POSITIONS) {
      test(`${streamed ? 'streamed' : 'whole'}, ${position}`, async () => {
        const bad = faulty.config;
        const dead = openAiBackend('http://127.0.0.1:9/v1', { id: 'dead' });
        const good = openAiBackend(second.url, { id: 'second' });
        const backends = position === 'only' ? [bad] : position === 'last of two' ? [dead, bad] : [bad, good];
        const table = await createLedgerTable(dynamoDb.client);
        const tiers = [budgetedTier({ monthlyBudgetUsd: 10 })];
        const before = second.requests.length;
        const seen = await exchange(backends, streamed, {
          config: { tiers, ...ledgerConfig },
          env: { LEDGER: table },
        });
        cells.set(`${name}/${streamed}/${position}`, nameOf(seen));
        expect(nameOf(seen)).toBe(expected(fault, streamed, position));
        const cost = toNano(
          (seen.log.find(({ message }) => message === 'chat completion')?.CostUsd as number | undefined) ?? 0,
        );
        expect(await ledgerOf(dynamoDb.client, table)).toEqual({ cost, spent: cost, reserved: 0 });
        const usedSecond = second.requests.length > before;
        expect(billed(seen.log, 'OutputTokens', 'second')).toBe(usedSecond ? HEALTHY_TEXT.split(' ').length : 0);
        await new Promise(setImmediate);
        expect(unhandled).toEqual([]);
      });
    }
  }
});

test('docs/failover.md holds the matrix (UPDATE_DOCS=1 writes it)', () => {
  const head = [
    'fault',
    ...[true, false].flatMap((s) => POSITIONS.map((p) => `${s ? 'streamed' : 'whole'}, ${p}`)),
    'rule',
  ];
  const rows = FAULTS.map((fault) => [
    fault.name,
    ...[true, false].flatMap((s) => POSITIONS.map((p) => cells.get(`${fault.name}/${s}/${p}`) ?? 'not run')),
    fault.rule,
  ]);
  holdsTable('matrix', head, rows);
});
