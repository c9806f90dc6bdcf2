import { expect, test } from 'vitest';
import { settleInLedger, usageRecordOf } from '../../../lambda/serving/ledger-steps.ts';
import type { RequestRecord } from '../../../lambda/serving/record.ts';
import type { Charge } from '../../../lambda/usage/admission.ts';

type Used = Parameters<Charge['settle']>[0];

/** What is settled of a request that was embedded. */
async function settled(overrides: Partial<RequestRecord>): Promise<Used> {
  let used: Used;
  const charge: Charge = {
    headers: {},
    at: 0,
    settle: async (given) => {
      used = given;
      return [];
    },
  };
  const record = {
    ...{ requestId: 'r', invocationId: 'i', startedAt: 0, durationMs: 1, status: 200, fallbacks: 0 },
    ...{ attempts: [], bills: [], ledgerEvents: [], model: 'chat', charge },
    ...overrides,
  };
  await settleInLedger(record, usageRecordOf(record, 'id'));
  return used;
}

const embedding = { embedding: 'embedding-test', tokens: 10, estimated: false, costUsd: 0.00001 };
const EMBEDDED = {
  ...{ backend: 'embedding-test', inputTokens: 0, outputTokens: 0, cachedInputTokens: 0 },
  ...{ costNano: 10_000, estimated: false },
};

test('an answer to a similar request costs its embedding, in dollars and in no tokens, and saves the answer', async () => {
  const cache = { outcome: 'semantic', savedUsd: 0.001, score: 0.95 } as const;
  expect(await settled({ embedding, cache })).toMatchObject({ savedNano: 1_000_000, bills: [EMBEDDED] });
});

test('an embedding is paid for by a request that failed, too', async () => {
  expect(await settled({ embedding, cache: { outcome: 'miss' } })).toMatchObject({ bills: [EMBEDDED] });
  expect(await settled({ cache: { outcome: 'miss' } })).toBeUndefined();
});
