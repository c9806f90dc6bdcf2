import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { createTextModel } from '../../local/model/index.ts';
import { type LocalRun, startLocal } from '../../local/run.ts';

const JOBS = 50;
/** A minute of the fleet's time takes a second. Queues' delays and the walk's deadlines take theirs. */
const SPEED = 60;
/** What a fleet without a task tells to wait, at that speed, and a queue's delay is whole seconds. */
const RETRY_AFTER_MS = 1_000;
const patience = { timeout: 90_000, interval: 100 };

let folder: string;
let run: LocalRun;
const lines: string[] = [];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'e2e-jobs-fleet-'));
  await promisify(execFile)(process.execPath, [fileURLToPath(new URL('./jobs-fleet-app.ts', import.meta.url))], {
    env: { ...process.env, CDK_OUTDIR: folder },
  });
  await hurry();
  run = await startLocal({
    assembly: folder,
    stateFolder: join(folder, 'state'),
    model: await createTextModel({ tokensPerSecond: 2_000, timeToFirstTokenMs: 5 }),
    log: (label, line) => lines.push(`${label}: ${line}`),
    speed: SPEED,
    fleets: {
      instanceMs: 60_000,
      loadMs: 60_000,
      model: { answerTokens: 60 },
      pace: { baseMs: 10, perSequenceMs: 0.2, prefillTokensPerSecond: 50_000 },
    },
  });
});
afterAll(async () => {
  await run?.close();
  await rm(folder, { recursive: true, force: true });
});

/** The fleet's 30 s would be half an hour of its own time here, in which it wakes and falls asleep again. */
async function hurry(): Promise<void> {
  for (const name of await readdir(folder, { recursive: true })) {
    if (!name.endsWith('serving-config.json')) continue;
    const config = JSON.parse(await readFile(join(folder, name), 'utf8'));
    for (const { fleet } of config.models[0].backends) fleet.retryAfterMs = RETRY_AFTER_MS;
    await writeFile(join(folder, name), JSON.stringify(config));
  }
}

interface JobView {
  readonly id: string;
  readonly status: string;
  readonly [field: string]: unknown;
}

async function call(method: string, path: string, body?: object): Promise<JobView> {
  const response = await fetch(`${run.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${run.apiKey}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  expect(response.ok, String(response.status)).toBe(true);
  return (await response.json()) as JobView;
}

const submit = (i: number): Promise<JobView> =>
  call('POST', '/jobs', { model: 'own', messages: [{ role: 'user', content: `Document ${i}` }] });

const jobs = async (): Promise<JobView[]> => {
  const { data } = (await call('GET', `/jobs?limit=${JOBS}`)) as unknown as { data: JobView[] };
  return data;
};

test('a fleet at zero and 50 jobs: it wakes, works them off, and goes back to zero', async () => {
  const [fleet] = run.fleets;
  expect(fleet?.service.tasks).toEqual([]);
  const first = await submit(0);
  await vi.waitFor(async () => {
    const waiting = { status: 'queued', waiting_for: 'backend_overloaded', attempts: 0 };
    expect(await call('GET', `/jobs/${first.id}`)).toMatchObject(waiting);
  }, patience);
  // One after the other: each at once would want a process of its own.
  for (let i = 1; i < JOBS; i++) await submit(i);
  const ended = await vi.waitFor(async () => {
    const now = await jobs();
    expect(now.map(({ status }) => status)).toEqual(Array(JOBS).fill('succeeded'));
    return now;
  }, patience);
  for (const job of ended) {
    // Not one of the waits counted as a failure.
    expect(job).toMatchObject({ attempts: 1, backend: 'fleet-sleepy', error: null });
  }
  await vi.waitFor(() => expect(fleet?.service.tasks).toEqual([]), patience);
  // Once up, once down: nothing woke it a second time.
  expect(lines.filter((line) => /\d+ → \d+ tasks/.test(line))).toEqual([
    expect.stringContaining('0 → 1 tasks'),
    expect.stringContaining('1 → 0 tasks'),
  ]);
  // One answer was paid for each.
  const answered = lines
    .filter((line) => line.includes('"message":"chat completion"') && line.includes('"status":200'))
    .map((line) => /"request_id":"(\w+)"/.exec(line)?.[1]);
  expect(answered.sort()).toEqual(ended.map(({ id }) => id).sort());
}, 180_000);
