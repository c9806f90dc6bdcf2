import { readFileSync, writeFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { toNano } from '../../lambda/usage/money.ts';
import { budgetedTier, ledgerConfig, ledgerOf } from '../lambda/support/ledger.ts';
import { model, openAiBackend, servingConfig } from '../lambda/support/serving.ts';
import { Upstream } from '../lambda/support/upstream.ts';
import { createLedgerTable, startDynamoDb, type TestDynamoDb } from '../lambda/usage/fixture.ts';
import { type Alone, FAULTS, FAULTY_TEXT, type Fault, HEALTHY_TEXT, healthy } from './catalog.ts';
import { ask, billed, type Seen } from './drive.ts';
import { startGateway } from './gateway.ts';

const DOCUMENT = fileURLToPath(new URL('../../docs/failover.md', import.meta.url));
const POSITIONS = ['first of two', 'last of two', 'only'] as const;
const DEADLINES = { connectMs: 500, firstTokenMs: 250, betweenTokensMs: 250 };
/** Every request ends by then, whatever its backends do. */
const WHOLE_MS = 700;
const LIMIT_MS = 3000;

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

function nameOf({ text, backend, error }: Seen): string {
  if (error === 'APIError' && text !== '') return 'part, then APIError';
  if (error !== undefined) return error;
  if (backend === 'second' && text === HEALTHY_TEXT) return 'the next answers';
  if (backend === 'faulty' && text === FAULTY_TEXT) return 'answer';
  if (backend === 'faulty' && text === '') return 'poor answer';
  if (backend === 'faulty' && text.startsWith(FAULTY_TEXT.slice(0, 5)) && text.endsWith(HEALTHY_TEXT))
    return 'resumed by the next';
  return `unexpected: ${JSON.stringify({ text, backend })}`;
}

describe.each(FAULTS.map((fault) => [fault.name, fault] as const))('%s', (name, fault) => {
  let faulty: Upstream;
  beforeAll(async () => {
    faulty = await Upstream.start(fault.answer ?? healthy);
  });
  afterAll(() => faulty.stop());

  for (const streamed of [true, false]) {
    for (const position of POSITIONS) {
      test(`${streamed ? 'streamed' : 'whole'}, ${position}`, async () => {
        const url = fault.baseUrl?.(Number(new URL(faulty.url).port)) ?? faulty.url;
        const bad = openAiBackend(url, { id: 'faulty', deadlines: DEADLINES });
        const dead = openAiBackend('http://127.0.0.1:9/v1', { id: 'dead', deadlines: DEADLINES });
        const good = openAiBackend(second.url, { id: 'second', deadlines: DEADLINES });
        const backends = position === 'only' ? [bad] : position === 'last of two' ? [dead, bad] : [bad, good];
        const limits = { wholeAnswerTimeoutMs: WHOLE_MS, totalTimeoutMs: LIMIT_MS - 500 };
        const table = await createLedgerTable(dynamoDb.client);
        const tiers = [budgetedTier({ monthlyBudgetUsd: 10 })];
        const config = servingConfig([model(backends)], { limits, tiers, ...ledgerConfig });
        const gateway = await startGateway(config, { LEDGER: table });
        const before = second.requests.length;
        const start = performance.now();
        const seen = await ask(gateway, streamed);
        const took = performance.now() - start;
        // Settled when the client has its answer.
        await expect.poll(() => gateway.log.some(({ message }) => message === 'chat completion')).toBe(true);
        await gateway.close();
        cells.set(`${name}/${streamed}/${position}`, nameOf(seen));
        expect(nameOf(seen)).toBe(expected(fault, streamed, position));
        expect(took).toBeLessThan(LIMIT_MS);
        // Each token once, on its backend; and the request's cost is the sum of its backends'.
        const [line] = gateway.log.filter(({ message }) => message === 'chat completion');
        expect(billed(gateway.log, 'CostUsd')).toBeCloseTo((line?.CostUsd as number | undefined) ?? 0, 12);
        expect(await ledgerOf(dynamoDb.client, table)).toEqual({
          cost: toNano((line?.CostUsd as number | undefined) ?? 0),
          spent: toNano((line?.CostUsd as number | undefined) ?? 0),
          reserved: 0,
        });
        const usedSecond = second.requests.length > before;
        expect(billed(gateway.log, 'OutputTokens', 'second')).toBe(usedSecond ? HEALTHY_TEXT.split(' ').length : 0);
        expect(gateway.log.filter(({ message }) => message === 'internal error')).toEqual([]);
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
  const table = [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
  console.log(table);
  const text = readFileSync(DOCUMENT, 'utf8');
  const [start, end] = ['<!-- matrix -->\n', '\n<!-- /matrix -->'];
  const from = text.indexOf(start) + start.length;
  const to = text.indexOf(end);
  expect(to).toBeGreaterThanOrEqual(from);
  if (process.env.UPDATE_DOCS === '1') writeFileSync(DOCUMENT, text.slice(0, from) + table + text.slice(to));
  else expect(text.slice(from, to)).toBe(table);
});
