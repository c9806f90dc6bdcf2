import type { Value } from '../change.ts';
import { ttlOf } from '../run-job.ts';
import { advance, asBatch, type Batch, batchKey, close } from './batch.ts';
import { each } from './each.ts';
import { keepFile, partKey } from './files.ts';
import { lineIds } from './line-job.ts';
import { type ResultLine, resultLine } from './output.ts';
import { type BatchRun, getBatch, isHandedOn } from './work.ts';

const PART_LINES = 200;

const FILES = [
  { name: 'output', isError: false },
  { name: 'error', isError: true },
] as const;

/**
 * Writes the files in the lines' order, a part at a time, so that neither the time nor the memory of a worker limits
 * them. A part that is written again has the same lines.
 */
export async function writeFiles(from: Batch, run: BatchRun): Promise<void> {
  // It may have been cancelled just now, and have come further than the message's reader knew.
  let batch = (await getBatch(from.id, run)) ?? from;
  const total = batch.total ?? 0;
  while ((batch.writtenLines ?? 0) < total) {
    const next = await run.items.change(batchKey(batch.id), await written(batch, run));
    // Somebody else is at it.
    if (next === undefined) return;
    batch = asBatch(next);
    if ((batch.writtenLines ?? 0) < total && (await isHandedOn(batch, run))) return;
  }
  const files: Record<string, string> = {};
  for (const { name } of FILES) {
    if (batch[`${name}Parts`] !== undefined) files[`${name}FileId`] = await keepWritten(batch, name, run);
  }
  const status =
    batch.status === 'cancelling' ? 'cancelled' : batch.someExpired === undefined ? 'completed' : 'expired';
  await run.items.change(batchKey(batch.id), close(status, run.now(), files));
}

/** The next lines' parts, and what the batch has to say of them. */
async function written(batch: Batch, run: BatchRun) {
  const first = batch.writtenLines ?? 0;
  const end = Math.min(batch.total ?? 0, first + (run.resultsAtOnce ?? PART_LINES));
  const ids = lineIds(batch.id, first, end);
  const jobs = await run.jobs.getAll(ids);
  const results = new Array<ResultLine>(ids.length);
  await each(ids, async (id, index) => {
    results[index] = await resultLine(jobs.get(id), id, run.blobs);
  });
  const more: Record<string, Value> = {};
  if ([...jobs.values()].some(({ status }) => status === 'expired')) more.someExpired = 1;
  for (const { name, isError } of FILES) {
    const lines = results.flatMap((result) => (result.isError === isError ? (result.text ?? []) : []));
    if (lines.length === 0) continue;
    const text = `${lines.join('\n')}\n`;
    const part = String(first);
    await run.blobs.put(partKey(keyOf(batch, name), part), text);
    more[`${name}Parts`] = JSON.stringify([...JSON.parse(batch[`${name}Parts`] ?? '[]'), part]);
    more[`${name}Bytes`] = (batch[`${name}Bytes`] ?? 0) + Buffer.byteLength(text);
  }
  return advance('written', first, end, more);
}

type FileName = (typeof FILES)[number]['name'];

const fileIdOf = (batch: Batch, name: FileName): string => `file-${batch.id.slice('batch_'.length)}-${name}`;
const keyOf = (batch: Batch, name: FileName): string => `files/${fileIdOf(batch, name)}`;

async function keepWritten(batch: Batch, name: FileName, run: BatchRun): Promise<string> {
  const id = fileIdOf(batch, name);
  const now = run.now();
  await keepFile(
    {
      id,
      consumer: batch.consumer,
      filename: `${batch.id}_${name}.jsonl`,
      bytes: batch[`${name}Bytes`] ?? 0,
      purpose: 'batch_output',
      createdAt: now,
      key: keyOf(batch, name),
      parts: batch[`${name}Parts`] ?? '[]',
      ttl: ttlOf(batch, now),
    },
    run.items,
  );
  return id;
}
