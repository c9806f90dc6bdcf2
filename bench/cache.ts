/**
 * What an answer out of the cache takes, and what looking it up in vain costs: the handler with a cache against the bare
 * handler and the handler without one, in turns. A hit is replayed at once, so that its time is set against the bare
 * handler with a model that answers at once.
 *
 *   node bench/cache.ts [--rounds 8 --requests 50]
 *
 * Takes a `valkey-server` or `redis-server` from the path, or VALKEY_SERVER; else js-redis-server, which is slower.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { CacheConfig } from '../lib/private/serving-config.ts';
import type { LocalFunction } from '../local/lambda/local-function.ts';
import { startValkeyServer } from '../local/valkey/server.ts';
import { bare, ours, start } from './contenders.ts';
import { streamOnce } from './drive.ts';
import { cpuMs, median, quantile } from './process-stats.ts';

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '8' }, requests: { type: 'string', default: '50' } },
});
const rounds = Number(values.rounds);
const requests = Number(values.requests);

const upstream = fork(fileURLToPath(new URL('./upstream.ts', import.meta.url)), {
  env: { ...process.env, CHUNKS: '64', PACE_MS: '0' },
});
const [{ url }] = (await once(upstream, 'message')) as [{ url: string }];
const valkey = await startValkeyServer();
const cache: CacheConfig = {
  endpoint: valkey.url,
  auth: { type: 'none' },
  deployment: 'bench',
  timeoutMs: 1000,
  connectTimeoutMs: 2000,
  policy: {
    enabled: true,
    ttlMs: 3_600_000,
    scope: 'consumer',
    requireSeed: false,
    tools: true,
    maxRequestBytes: 1_048_576,
    maxAnswerBytes: 2_097_152,
    compressAboveBytes: 2048,
    paceMs: 0,
    version: '',
  },
};

interface Target {
  readonly fn: LocalFunction;
  /** Each request is another one: nothing is ever found. */
  readonly asksAnew?: boolean;
}

let asked = 0;

const limit = start(bare(url));
const without = start(ours(url));
const withCache = start(ours(url, undefined, cache));
const targets: Record<'bare' | 'without' | 'miss' | 'hit', Target> = {
  bare: { fn: limit },
  without: { fn: without },
  miss: { fn: withCache, asksAnew: true },
  hit: { fn: withCache },
};
const names = Object.keys(targets) as Array<keyof typeof targets>;

interface Block {
  readonly cpuMs: number;
  readonly firstTokenMs: readonly number[];
  readonly wholeMs: readonly number[];
}

const results: Record<keyof typeof targets, Block[]> = { bare: [], without: [], miss: [], hit: [] };
try {
  for (const name of names) await block(targets[name]);
  for (let round = 0; round < rounds; round += 1) {
    const turn = round % names.length;
    for (const name of [...names.slice(turn), ...names.slice(0, turn)]) results[name].push(await block(targets[name]));
  }
} finally {
  await Promise.all([limit.close(), without.close(), withCache.close(), valkey.close()]);
  upstream.disconnect();
}

console.log(
  `${rounds} rounds of ${requests} streamed requests of 64 chunks each, on ${valkey.program.split('/').at(-1)}\n`,
);
console.log('| | bare | no cache | miss | hit | miss : no cache | hit : bare |');
console.log('| --- | ---: | ---: | ---: | ---: | ---: | ---: |');
print('CPU a request (ms)', ({ cpuMs: ms }) => [ms], 0.5);
print('first token p50 (ms)', ({ firstTokenMs }) => firstTokenMs, 0.5);
print('first token p99 (ms)', ({ firstTokenMs }) => firstTokenMs, 0.99);
print('whole answer p50 (ms)', ({ wholeMs }) => wholeMs, 0.5);

async function block({ fn, asksAnew }: Target): Promise<Block> {
  const once = (): ReturnType<typeof streamOnce> => {
    asked += 1;
    return streamOnce(fn, asksAnew ? String(asked) : '');
  };
  // The process starts with the first request, and the first of its kind is no hit.
  await once();
  const [pid] = fn.pids;
  if (pid === undefined) throw new Error('no process');
  const before = cpuMs(pid);
  const times = [];
  for (let index = 0; index < requests; index += 1) times.push(await once());
  return {
    cpuMs: (cpuMs(pid) - before) / requests,
    firstTokenMs: times.map((time) => time.firstTokenMs),
    wholeMs: times.map((time) => time.wholeMs),
  };
}

function print(what: string, of: (block: Block) => readonly number[], q: number): void {
  const n = (value: number): string => value.toFixed(2);
  const at = (name: keyof typeof targets): number => quantile(results[name].flatMap(of), q);
  const ratio = (name: 'miss' | 'hit', to: 'without' | 'bare'): string => {
    const ratios = results[name].map((each, round) => {
      const other = results[to][round];
      return other === undefined ? Number.NaN : quantile(of(each), q) / quantile(of(other), q);
    });
    return `${n(median(ratios))} (${n(Math.min(...ratios))}-${n(Math.max(...ratios))})`;
  };
  const columns = names.map((name) => n(at(name)));
  console.log(`| ${what} | ${columns.join(' | ')} | ${ratio('miss', 'without')} | ${ratio('hit', 'bare')} |`);
}
