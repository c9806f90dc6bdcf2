/**
 * An outage at constant load, in a tenth of its time: the first of two backends hangs from second 1 to second 7 of nine.
 * Tells what clients saw before the breaker opened, while it was open, and after the backend was back.
 *
 *   node bench/outage.ts [--check]
 */
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { performance } from 'node:perf_hooks';
import { Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadConfig } from '../lambda/contract/config.ts';
import { STANDARD_POLICY } from '../lambda/failover/policy.ts';
import { createServing } from '../lambda/serving/serve.ts';
import type { BackendConfig, FallbackConfig, ServingConfig } from '../lib/private/serving-config.ts';
import { quantile } from './process-stats.ts';

const REQUESTS_PER_SECOND = 100;
const TIME = { dies: 1000, returns: 7000, ends: 9000 };
/** A minute of outage is six seconds here, and so are the standard policy's times. */
const TENTH = 0.1;
const FALLBACK = faster(STANDARD_POLICY);
/** The usual 2 minutes would be 12 s; a deployment that has a second backend waits 3 s, here 300 ms. */
const FIRST_TOKEN_MS = 300;

/** The same policy with every time in it (`…Ms`) a tenth as long. */
function faster<T extends object>(policy: T): T {
  const entries = Object.entries(policy).map(([name, value]) => {
    if (typeof value === 'number' && name.endsWith('Ms')) return [name, value * TENTH];
    return [name, typeof value === 'object' && !Array.isArray(value) ? faster(value) : value];
  });
  return Object.fromEntries(entries) as T;
}

/** Without a breaker each request waits for the dead backend's deadline first. */
const AIM = 0.5;

interface Sample {
  readonly at: number;
  readonly ok: boolean;
  readonly firstTokenMs: number;
  readonly backend: string;
}

const event = (delta: object, finish: string | null): string =>
  `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'm', choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;

async function upstream(isUp: () => boolean): Promise<{ url: string; close(): void }> {
  const server = createServer(async (request, response: ServerResponse) => {
    for await (const _ of request);
    if (!isUp()) return;
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    await sleep(10);
    for (let index = 0; index < 8; index += 1) response.write(event({ content: ` word${index}` }, null));
    response.end(`${event({}, 'stop')}data: [DONE]\n\n`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = (): void => {
    server.close();
    server.closeAllConnections();
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, close };
}

async function outage(fallback: FallbackConfig): Promise<Sample[]> {
  const start = performance.now();
  const now = (): number => performance.now() - start;
  const first = await upstream(() => now() < TIME.dies || now() > TIME.returns);
  const second = await upstream(() => true);
  const backend = (id: string, baseUrl: string): BackendConfig => ({
    kind: 'openai-compatible',
    id,
    baseUrl,
    auth: { type: 'none' },
    headers: {},
    unsupportedParameters: [],
    maxTokensParameter: 'max_tokens',
    streamUsage: true,
    price: { input: 1, output: 2, cachedInput: 0.5, cacheWrite: 1 },
    deadlines: { connectMs: 1000, firstTokenMs: FIRST_TOKEN_MS, betweenTokensMs: 1000 },
  });
  const backends = [backend('first', first.url), backend('second', second.url)];
  const config: ServingConfig = {
    version: 1,
    models: [{ name: 'chat', aliases: [], ownedBy: 'bench', created: 0, backends, fallback }],
    tiers: [{ name: 'standard' }],
    features: [],
    limits: {
      maxRequestBytes: 1e6,
      totalTimeoutMs: 10_000,
      wholeAnswerTimeoutMs: 10_000,
      headersWaitMs: 9000,
      keepAliveMs: 9000,
    },
    metrics: { namespace: 'Bench' },
    logContent: false,
  };
  const samples: Sample[] = [];
  const handler = createServing(loadConfig(JSON.stringify(config), {}), {
    log: () => {},
    withPrelude: (stream, prelude) => {
      (stream as Writable & { head?: Record<string, string> }).head = { ...prelude.headers };
      return stream;
    },
  });
  const body = JSON.stringify({ model: 'chat', stream: true, messages: [{ role: 'user', content: 'hello' }] });
  const one = async (): Promise<void> => {
    const at = now();
    let firstTokenMs = Number.NaN;
    let text = '';
    const stream: Writable & { head?: Record<string, string> } = new Writable({
      write(chunk: Buffer, _encoding, done) {
        text += chunk.toString();
        if (Number.isNaN(firstTokenMs) && text.includes('word0')) firstTokenMs = now() - at;
        done();
      },
    });
    await handler(
      {
        httpMethod: 'POST',
        resource: '/v1/chat/completions',
        path: '/v1/chat/completions',
        headers: {},
        body,
        requestContext: { requestId: 'r', identity: { apiKeyId: 'k' } },
      },
      stream,
      { getRemainingTimeInMillis: () => 60_000 },
    );
    const ok = text.includes('"stop"') && text.endsWith('data: [DONE]\n\n') && !text.includes('"error"');
    samples.push({ at, ok, firstTokenMs, backend: stream.head?.['x-llm-backend'] ?? '' });
  };
  const running: Promise<void>[] = [];
  for (let index = 0; now() < TIME.ends; index += 1) {
    running.push(one());
    await sleep(Math.max(0, ((index + 1) * 1000) / REQUESTS_PER_SECOND - now()));
  }
  await Promise.all(running);
  first.close();
  second.close();
  return samples;
}

/** Until the breaker is open: those that began before the first of them was given up. */
const opened = TIME.dies + FIRST_TOKEN_MS + 50;
const PHASES: ReadonlyArray<readonly [string, from: number, to: number]> = [
  ['before the outage', 0, TIME.dies],
  ['until the breaker opens', TIME.dies, opened],
  ['while it is open', opened, TIME.returns],
  ['after the return', TIME.returns, TIME.ends],
];

const { breaker: _, ...withoutBreaker } = FALLBACK;
const runs = { 'with the breaker': await outage(FALLBACK), 'without it': await outage(withoutBreaker) };
console.log(
  `${REQUESTS_PER_SECOND} requests a second; the first backend hangs for ${(TIME.returns - TIME.dies) / 1000} s\n`,
);
console.log('| | phase | requests | answered | by the first | first token p50 (ms) | p95 (ms) |');
console.log('| --- | --- | ---: | ---: | ---: | ---: | ---: |');
for (const [name, samples] of Object.entries(runs)) {
  for (const [phase, from, to] of PHASES) {
    const some = samples.filter(({ at }) => at >= from && at < to);
    const share = (count: number): string => `${((100 * count) / some.length).toFixed(1)} %`;
    const times = some.map(({ firstTokenMs }) => firstTokenMs).filter((ms) => !Number.isNaN(ms));
    console.log(
      `| ${name} | ${phase} | ${some.length} | ${share(some.filter(({ ok }) => ok).length)} | ${share(some.filter((s) => s.backend === 'first').length)} | ${quantile(times, 0.5).toFixed(0)} | ${quantile(times, 0.95).toFixed(0)} |`,
    );
  }
}
/** Held against each other in the same run: a busy machine slows both down. */
const duringOutage = (samples: readonly Sample[]): Sample[] =>
  samples.filter(({ at }) => at >= opened && at < TIME.returns);
const medianOf = (samples: readonly Sample[]): number =>
  quantile(
    samples.map(({ firstTokenMs }) => firstTokenMs),
    0.5,
  );
const withBreaker = runs['with the breaker'];
const backAfter = withBreaker
  .filter(({ at, backend }) => at >= TIME.returns && backend === 'first')
  .map(({ at }) => at);
console.log(
  `\nafter its return the first backend is used again from ${(Math.min(...backAfter) - TIME.returns).toFixed(0)} ms on`,
);
const failed = Object.values(runs)
  .flat()
  .filter(({ ok }) => !ok).length;
const ratio = medianOf(duringOutage(withBreaker)) / medianOf(duringOutage(runs['without it']));
const isBack = backAfter.length > 0;
if (process.argv.includes('--check') && (failed > 0 || !(ratio <= AIM) || !isBack)) {
  console.error(
    `missed the aim: ${failed} requests without an answer; first token while the breaker is open ${ratio.toFixed(2)} of that without one, aim ${AIM}; the first backend is ${isBack ? '' : 'not '}asked again`,
  );
  process.exitCode = 1;
}
