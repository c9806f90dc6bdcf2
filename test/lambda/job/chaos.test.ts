import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { Webhook } from 'standardwebhooks';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadConfig } from '../../../lambda/contract/config.ts';
import { STANDARD_POLICY } from '../../../lambda/failover/policy.ts';
import type { Change, Item } from '../../../lambda/job/change.ts';
import { asJob, isFinal, itemOf, type Job } from '../../../lambda/job/job.ts';
import { noticeBody } from '../../../lambda/job/notice/body.ts';
import { deliver, logOf } from '../../../lambda/job/notice/deliver.ts';
import { sendWebhook } from '../../../lambda/job/notice/send.ts';
import { signedHeaders, webhookSecret } from '../../../lambda/job/notice/sign.ts';
import type { Blobs, JobQueues, JobTable } from '../../../lambda/job/ports.ts';
import { runJob } from '../../../lambda/job/run-job.ts';
import { Walk } from '../../../lambda/job/walk/ask.ts';
import { createServing } from '../../../lambda/serving/serve.ts';
import { model, openAiBackend, PRICE, servingConfig } from '../support/serving.ts';
import { answerText, Upstream } from '../support/upstream.ts';
import { anyJob } from './support/jobs.ts';
import { applied } from './support/memory-table.ts';

const JOBS = 2_000;
const WORKERS = 40;
/** Of calls to the table, a queue or the model, after which a worker is dead. */
const DEATHS = 0.01;
const DUPLICATES = 0.1;
const MODEL_FAILURES = 0.2;
const FIRST_DELIVERY_FAILURES = 0.5;
/** Virtual milliseconds after which a message that wasn't deleted comes again. */
const VISIBILITY = 120_000;

/** Six tokens in, four from a cache, two out, at the tests' prices. */
const PRICE_OF_ONE = (6 * PRICE.input + 4 * PRICE.cachedInput + 2 * PRICE.output) / 1_000_000;

/** mulberry32: the same chaos in every run. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Time passes when nothing is left to do before it: a day of back-off takes no longer than its work. */
class Time {
  now = 0;
}

/** A standard queue: at least once, in any order, with delays, visibility, and messages that come twice. */
class Queue {
  #messages: Array<{ readonly id: string; at: number }> = [];
  readonly #time: Time;
  readonly #random: () => number;
  duplicates = 0;

  constructor(time: Time, random: () => number) {
    this.#time = time;
    this.#random = random;
  }

  send(id: string, delayMs: number): void {
    const at = this.#time.now + Math.min(900_000, Math.max(0, delayMs));
    this.#messages.push({ id, at });
    if (this.#random() < DUPLICATES) {
      this.duplicates++;
      this.#messages.push({ id, at });
    }
  }

  /** Any of those that can be seen; it is hidden until it is deleted or its visibility is over. */
  receive(): { readonly id: string; remove(): void } | undefined {
    const visible = this.#messages.filter(({ at }) => at <= this.#time.now);
    const message = visible[Math.floor(this.#random() * visible.length)];
    if (message === undefined) return undefined;
    message.at = this.#time.now + VISIBILITY;
    return { id: message.id, remove: () => void this.#messages.splice(this.#messages.indexOf(message), 1) };
  }

  get nextAt(): number {
    return Math.min(...this.#messages.map(({ at }) => at));
  }

  get isEmpty(): boolean {
    return this.#messages.length === 0;
  }
}

let upstream: Upstream;
const receiver = createServer(async (request, response) => {
  let text = '';
  for await (const piece of request) text += piece;
  receive(text, request.headers as Record<string, string>, (status) => response.writeHead(status).end());
});
let receive: (text: string, headers: Record<string, string>, answer: (status: number) => void) => void;

beforeAll(async () => {
  upstream = await Upstream.start(answerText('an answer'));
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
});
afterAll(async () => {
  await upstream.stop();
  receiver.closeAllConnections();
  await new Promise((resolve) => receiver.close(resolve));
});

test('2,000 jobs through dying workers, duplicates, a failing model and a failing receiver: each ends once', async () => {
  const random = randomOf(7);
  const time = new Time();
  const items = new Map<string, Item>();
  const ends = new Map<string, Item>();
  const jobsQueue = new Queue(time, random);
  const noticesQueue = new Queue(time, random);
  const buried = new Map<string, string>();
  let deaths = 0;

  const answered = answerText('an answer');
  upstream.answer = (response, request, incoming) => {
    if (random() < MODEL_FAILURES) response.writeHead(500).end('{"error":{"message":"chaos"}}');
    else return answered(response, request, incoming);
  };
  const { breaker: _, ...policy } = STANDARD_POLICY;
  const config = loadConfig(
    JSON.stringify(
      servingConfig([
        model([openAiBackend(upstream.url)], {
          // The job's own retries are what is tried here.
          fallback: { ...policy, retries: 0 },
        }),
      ]),
    ),
    {},
  );
  const walk = new Walk(config);
  const { withPrelude, identify, takeAccount } = walk;
  const serve = createServing(config, { log: () => {}, withPrelude, identify, takeAccount });
  const ask = walk.asker(serve, () => 60_000);

  /** What a worker reaches the world through. It may die at any call, before it or after it; then nothing comes back. */
  const worker = () => {
    let isAlive = true;
    const dies = (): boolean => {
      if (isAlive && random() < DEATHS) {
        isAlive = false;
        deaths++;
      }
      return !isAlive;
    };
    const never = <T>(): Promise<T> => {
      died.resolve();
      return new Promise<T>(() => {});
    };
    const died = Promise.withResolvers<void>();
    const call = async <T>(effect: () => T | Promise<T>): Promise<T> => {
      if (dies()) return never();
      const value = await effect();
      return dies() ? never() : value;
    };
    const table: JobTable = {
      get: (id) => call(() => found(id)),
      create: () => Promise.reject(new Error('not here')),
      change: (id, change) => call(() => changed(id, change)),
    };
    const queues: JobQueues = {
      run: (job, delay) => call(() => jobsQueue.send(job.id, delay)),
      notify: (job, delay) => call(() => noticesQueue.send(job.id, delay)),
    };
    return { table, queues, call, died: died.promise };
  };
  const found = (id: string): Job => asJob(items.get(id) as Item);
  const changed = (id: string, change: Change): Job | undefined => {
    const next = applied(change, items.get(id) as Item);
    if (next === undefined) return undefined;
    items.set(id, next);
    const job = asJob(next);
    if (isFinal(job)) {
      // What a job ended with: whatever else changes in it, that doesn't.
      const { status, result, error, costUsd, endedAt } = job;
      const end = { status, result, error, costUsd, endedAt };
      if (ends.has(id)) expect(end).toEqual(ends.get(id));
      else ends.set(id, end);
    }
    return job;
  };
  const blobs: Blobs = {
    put: () => Promise.reject(new Error('short texts only')),
    get: () => Promise.reject(new Error('none')),
  };

  const runOne = (id: string) => {
    const { table, queues, call, died } = worker();
    const run = runJob(id, {
      table,
      queues,
      blobs,
      ask: (job, request, options) => call(() => ask(job, request, options)),
      now: () => time.now,
      random,
      newRun: randomUUID,
      every: () => () => {},
    });
    return Promise.race([run.then(() => true), died.then(() => false)]);
  };
  const secret = webhookSecret('master', 'alice', 1);
  const deliverOne = (id: string) => {
    const { table, queues, call, died } = worker();
    const done = deliver(id, {
      table,
      queues,
      send: (job, noticeId) =>
        call(async () => {
          const body = await noticeBody(job, blobs);
          const headers = signedHeaders(body, { id: noticeId, atMs: Date.now(), secrets: [secret] });
          return sendWebhook(job.webhookUrl ?? '', { loopback: true, headers, body });
        }),
      bury: (job, reason) => call(() => void buried.set(job.id, reason)),
      pauses: [1_000, 5_000, 30_000],
      now: () => time.now,
      random,
      newRun: randomUUID,
    });
    return Promise.race([done.then(() => true), died.then(() => false)]);
  };

  const received = new Map<string, { ids: Set<string>; bodies: Set<string>; accepted: number }>();
  receive = (text, headers, answer) => {
    new Webhook(secret).verify(text, headers);
    const { data } = JSON.parse(text) as { data: { id: string } };
    const known = received.get(data.id) ?? { ids: new Set(), bodies: new Set(), accepted: 0 };
    const isFirst = known.ids.size === 0;
    known.ids.add(headers['webhook-id'] ?? '');
    known.bodies.add(text);
    received.set(data.id, known);
    // Some receivers are down for good.
    if (data.id.endsWith('99') || (isFirst && random() < FIRST_DELIVERY_FAILURES)) return answer(503);
    known.accepted++;
    answer(204);
  };

  const webhookUrl = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`;
  const request = JSON.stringify({ model: 'chat', messages: [{ role: 'user', content: 'hello' }] });
  for (let i = 0; i < JOBS; i++) {
    const job = anyJob({ id: `job_${i}`, request, webhookUrl, notice: 'due' });
    items.set(job.id, itemOf(job));
    jobsQueue.send(job.id, 0);
  }

  const busy = new Set<Promise<void>>();
  const take = (queue: Queue, handle: (id: string) => Promise<boolean>): boolean => {
    const message = queue.receive();
    if (message === undefined) return false;
    const work = handle(message.id)
      .then((done) => done && message.remove())
      .then(() => void busy.delete(work));
    busy.add(work);
    return true;
  };
  while (!(jobsQueue.isEmpty && noticesQueue.isEmpty)) {
    while (busy.size < WORKERS && (take(jobsQueue, runOne) || take(noticesQueue, deliverOne))) await turn();
    if (busy.size > 0) await Promise.race(busy);
    else time.now = Math.max(time.now, Math.min(jobsQueue.nextAt, noticesQueue.nextAt));
  }

  expect(deaths).toBeGreaterThan(100);
  expect(jobsQueue.duplicates + noticesQueue.duplicates).toBeGreaterThan(300);
  const all = [...items.values()].map(asJob);
  expect(all).toHaveLength(JOBS);
  const counts: Record<string, number> = {};
  for (const job of all) {
    counts[job.status] = (counts[job.status] ?? 0) + 1;
    expect(['succeeded', 'failed']).toContain(job.status);
    // Exactly one result with exactly one charge, or an error.
    expect(job.result !== undefined).toBe(job.status === 'succeeded');
    expect(job.error !== undefined).toBe(job.status === 'failed');
    if (job.status === 'succeeded') expect(job.costUsd).toBeCloseTo(PRICE_OF_ONE, 12);
    const notices = received.get(job.id);
    expect(notices?.ids).toEqual(new Set([`msg_${job.id}`]));
    // However often: the same words.
    expect(notices?.bodies.size).toBe(1);
    if (job.notice === 'delivered') expect(notices?.accepted).toBeGreaterThan(0);
    else {
      expect(job.notice).toBe('dead');
      expect(buried.get(job.id)).toBe('status 503');
      expect(logOf(job).at(-1)).toMatchObject({ status: 503 });
    }
  }
  // A fifth of the calls fail: six attempts of one job do so seldom.
  expect(counts.succeeded).toBeGreaterThan(JOBS * 0.98);
  expect(all.filter(({ notice }) => notice === 'dead')).toHaveLength(JOBS / 100);
}, 180_000);
