import type { Job } from '../job.ts';
import type { Blobs } from '../ports.ts';
import { MAX_INLINE_BYTES } from '../run-job.ts';
import type { Batch } from './batch.ts';
import type { Line } from './input.ts';

export const lineId = (batch: string, line: number): string => `line_${batch.slice('batch_'.length)}_${line}`;

/** The ids of some lines, beginning with one. */
export const lineIds = (batch: string, from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, index) => lineId(batch, from + index));

/** A line as the job that it is run as. A long request is in S3 then. */
export async function lineJob(batch: Batch, index: number, line: Line, blobs: Blobs): Promise<Job> {
  const id = lineId(batch.id, index);
  const isLong = Buffer.byteLength(line.request) > MAX_INLINE_BYTES;
  const requestAt = `inputs/${id}/line`;
  if (isLong) await blobs.put(requestAt, line.request);
  return {
    id,
    kind: 'line',
    consumer: batch.consumer,
    tier: batch.tier,
    ...(batch.team === undefined ? {} : { team: batch.team }),
    ...(batch.monthlyBudgetUsd === undefined ? {} : { monthlyBudgetUsd: batch.monthlyBudgetUsd }),
    model: line.model,
    status: 'queued',
    // Whoever takes a day may let others go first.
    priority: 'low',
    createdAt: batch.createdAt,
    notBefore: batch.createdAt,
    expiresAt: batch.expiresAt,
    ttl: batch.ttl,
    retentionMs: batch.retentionMs,
    attempts: 0,
    generation: 0,
    outputTokens: 0,
    ...(isLong ? { requestAt } : { request: line.request }),
    fingerprint: '',
    notice: 'none',
    batch: batch.id,
    line: index,
    customId: line.customId,
  };
}
