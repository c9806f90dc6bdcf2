import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Fleet } from '../../local/fleets.ts';
import { createTextModel } from '../../local/model/index.ts';
import { type LocalRun, startLocal } from '../../local/run.ts';

/** A minute of the fleets' time takes 0.3 seconds. */
const SPEED = 200;
const patience = { timeout: 45_000, interval: 20 };

let folder: string;
let run: LocalRun;
const logLines: string[] = [];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'e2e-fleet-'));
  await promisify(execFile)(process.execPath, [fileURLToPath(new URL('./fleet-app.ts', import.meta.url))], {
    env: { ...process.env, CDK_OUTDIR: folder },
  });
  run = await startLocal({
    assembly: folder,
    stateFolder: join(folder, 'state'),
    model: await createTextModel({ tokensPerSecond: 2_000, timeToFirstTokenMs: 5 }),
    // Hundreds of streams in a few processes.
    compute: { kind: 'managed-instances', concurrency: 64 },
    log: (_, line) => logLines.push(line),
    speed: SPEED,
    fleets: {
      instanceMs: 10_000,
      loadMs: 20_000,
      model: { answerTokens: 60 },
      pace: { baseMs: 10, perSequenceMs: 0.2, prefillTokensPerSecond: 50_000 },
    },
  });
});
afterAll(async () => {
  await run?.close();
  await rm(folder, { recursive: true, force: true });
});

function fleet(name: string): Fleet {
  const found = run.fleets.find((candidate) => candidate.name === name);
  if (found === undefined) throw new Error(`no fleet ${name}`);
  return found;
}

const healthy = (name: string, count: number) =>
  vi.waitFor(() => expect(fleet(name).service.healthyTasks).toHaveLength(count), patience);

function ask(model: string, prompt: string, stream: boolean): Promise<Response> {
  return fetch(`${run.url}/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${run.apiKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model, stream, messages: [{ role: 'user', content: prompt }] }),
  });
}

/** What became of an answer: `whole`, `error` when it says that it failed, `broken` when it just ends. */
async function outcome(response: Response, stream: boolean): Promise<'whole' | 'error' | 'broken'> {
  const text = await response.text();
  if (response.status !== 200) return 'error';
  if (!stream) return text.includes('"finish_reason":"stop"') ? 'whole' : 'broken';
  if (!text.trimEnd().endsWith('data: [DONE]')) return 'broken';
  if (text.includes('data: {"error":')) return 'error';
  return text.includes('"finish_reason":"stop"') ? 'whole' : 'broken';
}

describe('a fleet at zero', () => {
  test('alone: answers 503 with Retry-After while it wakes, then serves, and sleeps again when idle', async () => {
    expect(fleet('Sleepy').service.tasks).toEqual([]);
    const refused = await ask('own', 'Hello', false);
    expect(refused.status).toBe(503);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await refused.json()).toEqual({
      error: { message: expect.any(String), type: expect.any(String), param: null, code: expect.anything() },
    });
    await healthy('Sleepy', 1);
    const served = await ask('own', 'Hello', false);
    expect(served.status).toBe(200);
    expect(served.headers.get('x-llm-backend')).toBe('fleet-sleepy');
    await vi.waitFor(() => expect(fleet('Sleepy').service.tasks).toEqual([]), patience);
  });

  test('with another backend behind it: that one answers, and later the fleet does', async () => {
    const first = await ask('hybrid', 'Hello', true);
    expect(first.status).toBe(200);
    expect(first.headers.get('x-llm-backend')).not.toBe('fleet-drowsy');
    expect(first.headers.get('x-llm-fallbacks')).toBe('1');
    expect(await outcome(first, true)).toBe('whole');
    await healthy('Drowsy', 1);
    await vi.waitFor(async () => {
      const later = await ask('hybrid', 'Hello', true);
      expect(await outcome(later, true)).toBe('whole');
      expect(later.headers.get('x-llm-backend')).toBe('fleet-drowsy');
    }, patience);
  });
});

describe('a fleet of three tasks', () => {
  beforeAll(() => healthy('Trio', 3));

  test('with one killed under 200 streams breaks none without an error event, and serves on', async () => {
    const streams = Array.from({ length: 200 }, async (_, i) =>
      outcome(await ask('three', `Story number ${i}`, true), true),
    );
    const { service } = fleet('Trio');
    // One that is in the middle of many of them.
    const victim = await vi.waitFor(() => {
      const busiest = service.tasks.find(({ outstanding }) => outstanding >= 5);
      if (busiest === undefined) throw new Error('no task has 5 streams yet');
      return busiest;
    }, patience);
    victim.kill();
    const after = await Promise.all(
      Array.from({ length: 20 }, async (_, i) => outcome(await ask('three', `Another one, ${i}`, true), true)),
    );
    const outcomes = await Promise.all(streams);
    expect(outcomes.filter((one) => one === 'broken')).toEqual([]);
    // Those of the killed task are resumed on another, as far as the retry budget goes; the rest end with an error event.
    expect(outcomes.filter((one) => one === 'whole').length).toBeGreaterThan(100);
    const brokenOff = logLines.filter((line) => line.includes('"message":"backend failed"')).length;
    expect(brokenOff).toBeGreaterThan(0);
    expect(after.filter((one) => one === 'whole')).toHaveLength(20);
    await healthy('Trio', 3);
  });

  test('that is replaced under load loses nothing', async () => {
    const { service } = fleet('Trio');
    const before = service.tasks.map(({ id }) => id);
    let deployed = false;
    const outcomes: string[] = [];
    const clients = Array.from({ length: 16 }, async (_, i) => {
      while (!deployed) {
        const stream = i % 2 === 0;
        outcomes.push(await outcome(await ask('three', `Client ${i}, ${outcomes.length}`, stream), stream));
      }
    });
    await service.deploy();
    deployed = true;
    await Promise.all(clients);
    expect(outcomes.length).toBeGreaterThanOrEqual(16);
    expect(outcomes.filter((one) => one !== 'whole')).toEqual([]);
    expect(service.healthyTasks.filter(({ id }) => before.includes(id))).toEqual([]);
  });
});

test('nothing but the API of a fleet is reached through its load balancer', async () => {
  const { url } = fleet('Trio');
  for (const path of ['/metrics', '/tokenize', '/invocations', '/health', '/version']) {
    expect((await fetch(`${url}${path}`)).status).toBe(404);
  }
  expect((await fetch(`${url}/v1/models`)).status).toBe(401);
});
