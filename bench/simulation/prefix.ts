import { Affinity, type AffinityOptions, prefixKeys } from '../../lambda/backends/openai-compatible/affinity.ts';
import { type EngineLimits, SimulatedEngine } from './engine.ts';
import { BLOCK_TOKENS, type TracedRequest } from './trace.ts';

export interface PrefixOptions {
  readonly requests: readonly TracedRequest[];
  readonly tasks: number;
  readonly engine: EngineLimits;
  /** Of each task's prefix cache. */
  readonly cacheTokens: number;
  readonly policy: PolicyName;
  readonly affinity?: Partial<AffinityOptions>;
  /** Of the mean load, rounded up, beyond which the oracle takes another task. @default - none */
  readonly oracleFactor?: number;
}

export type PolicyName = 'round robin' | 'least outstanding' | 'session stickiness' | 'affinity' | 'oracle';

export interface PrefixResult {
  /** Share of prompt tokens that a task had in its cache. */
  readonly hitRate: number;
  readonly firstTokenP50: number;
  readonly firstTokenP99: number;
  /** The most loaded task's requests in flight over the mean task's, both on average over the run. */
  readonly loadRatio: number;
  readonly refused: number;
}

interface Task {
  readonly id: number;
  readonly engine: SimulatedEngine<TracedRequest>;
  readonly cache: BlockCache;
  readonly whenDone: Map<TracedRequest, () => void>;
  /** Requests in flight, times seconds. */
  work: number;
}

/** Blocks of earlier prompts, the least recently used ones evicted: `local/engine/prefix-cache.ts` with counts. */
class BlockCache {
  readonly #capacity: number;
  readonly #blocks = new Set<number>();

  constructor(tokens: number) {
    this.#capacity = Math.floor(tokens / BLOCK_TOKENS);
  }

  /** How many blocks from the start are there. */
  hits(ids: readonly number[]): number {
    const missing = ids.findIndex((id) => !this.#blocks.has(id));
    return missing < 0 ? ids.length : missing;
  }

  use(ids: readonly number[]): void {
    // The end of a prompt is evicted before its beginning, as in vLLM.
    for (const id of [...ids].reverse()) {
      this.#blocks.delete(id);
      this.#blocks.add(id);
    }
    for (const id of this.#blocks) {
      if (this.#blocks.size <= this.#capacity) return;
      this.#blocks.delete(id);
    }
  }
}

/** Runs a trace against a fleet of so many tasks behind a load balancer. */
export function simulatePrefixes(options: PrefixOptions): PrefixResult {
  const { requests, engine, cacheTokens } = options;
  const firstTokens: number[] = [];
  const tasks = Array.from({ length: options.tasks }, (_, id): Task => {
    const whenDone = new Map<TracedRequest, () => void>();
    return {
      id,
      cache: new BlockCache(cacheTokens),
      whenDone,
      work: 0,
      engine: new SimulatedEngine<TracedRequest>(engine, 0, ({ request, firstToken = 0 }) => {
        firstTokens.push(firstToken - request.arrival);
        whenDone.get(request)?.();
        whenDone.delete(request);
      }),
    };
  });
  let now = 0;
  const choose = chooser(options, tasks, () => now);
  let hits = 0;
  let prompts = 0;
  let refused = 0;
  const advance = (to: number): void => {
    for (const task of tasks) {
      task.work += task.engine.inFlight * (to - now);
      task.engine.advance(to);
    }
    now = to;
  };
  for (const request of requests) {
    advance(request.arrival);
    const { task, begun } = choose(request);
    // The last token is always computed: its logits are the first answer.
    const cached = Math.min(task.cache.hits(request.hashIds) * BLOCK_TOKENS, request.inputTokens - 1);
    if (!task.engine.add(request, request.inputTokens - cached)) {
      refused += 1;
      continue;
    }
    const done = begun?.();
    if (done !== undefined) task.whenDone.set(request, done);
    task.cache.use(request.hashIds);
    hits += cached;
    prompts += request.inputTokens;
  }
  while (tasks.some((task) => task.engine.inFlight > 0)) advance(now + 1);
  firstTokens.sort((a, b) => a - b);
  const quantile = (q: number): number => firstTokens[Math.floor(firstTokens.length * q)] ?? Number.NaN;
  const work = tasks.map((task) => task.work);
  return {
    hitRate: hits / prompts,
    firstTokenP50: quantile(0.5),
    firstTokenP99: quantile(0.99),
    loadRatio: Math.max(...work) / (work.reduce((sum, each) => sum + each, 0) / work.length),
    refused,
  };
}

interface Choice {
  readonly task: Task;
  /** To be called when the request was taken; what it returns when its answer is over. */
  readonly begun?: () => () => void;
}

type Chooser = (request: TracedRequest) => Choice;

function chooser(
  { policy, affinity, oracleFactor = Number.POSITIVE_INFINITY }: PrefixOptions,
  tasks: readonly Task[],
  now: () => number,
): Chooser {
  let turn = 0;
  /** As the load balancer does: those that have equally little to do take turns. */
  const leastOutstanding = (candidates: readonly Task[] = tasks): Task => {
    const least = Math.min(...candidates.map(({ engine }) => engine.inFlight));
    const equal = candidates.filter(({ engine }) => engine.inFlight === least);
    turn += 1;
    return equal[turn % equal.length] as Task;
  };
  switch (policy) {
    case 'round robin':
      return () => {
        turn += 1;
        return { task: tasks[turn % tasks.length] as Task };
      };
    case 'least outstanding':
      return () => ({ task: leastOutstanding() });
    case 'session stickiness': {
      const sessions = new Map<string, Task>();
      const sessionOf = sessionFinder();
      return (request) => {
        const session = sessionOf(request);
        const task = sessions.get(session) ?? leastOutstanding();
        sessions.set(session, task);
        return { task };
      };
    }
    case 'affinity':
      return affinityChooser(leastOutstanding, {
        ttlMs: 3_600_000,
        maxTasks: tasks.length,
        now: () => now() * 1000,
        ...affinity,
      });
    case 'oracle':
      return ({ hashIds }) => {
        const inFlight = tasks.reduce((sum, { engine }) => sum + engine.inFlight, 1);
        const most = Math.ceil((oracleFactor * inFlight) / tasks.length);
        const free = tasks.filter(({ engine }) => engine.inFlight < most);
        const hits = free.map(({ cache }) => cache.hits(hashIds));
        const best = Math.max(...hits);
        return { task: leastOutstanding(free.filter((_, index) => hits[index] === best)) };
      };
  }
}

/** A prompt ends in its last block, or in the one before it when that isn't full. */
const ENDS = 2;

/** The module that the gateway runs; it sees cookies, which don't tell it which task they mean. */
function affinityChooser(leastOutstanding: () => Task, options: AffinityOptions): Chooser {
  const affinity = new Affinity(options);
  let cookies = 0;
  const taskOf = new Map<string, Task>();
  const cookieOf = (task: Task): string => {
    cookies += 1;
    const cookie = `AWSALB=${cookies}`;
    taskOf.set(cookie, task);
    return cookie;
  };
  return ({ hashIds }) => {
    const keys = prefixKeys(hashIds.map(String));
    const placement = affinity.place({ own: keys, shared: keys, next: keys.slice(0, ENDS) });
    const task = (placement.cookie === undefined ? undefined : taskOf.get(placement.cookie)) ?? leastOutstanding();
    return {
      task,
      begun: () => {
        placement.served(cookieOf(task));
        if (placement.cookie !== undefined) taskOf.delete(placement.cookie);
        return () => placement.end();
      },
    };
  };
}

/** A trace without sessions: a request goes on where an earlier prompt was that it begins with. */
function sessionFinder(): (request: TracedRequest) => string {
  const byLastBlock = new Map<number, string>();
  let count = 0;
  return ({ session, hashIds }) => {
    if (session !== undefined) return session;
    // A prompt's last block isn't full, the one before it is.
    const found = [...hashIds].reverse().find((id) => byLastBlock.has(id));
    count += 1;
    const name = (found === undefined ? undefined : byLastBlock.get(found)) ?? `found-${count}`;
    const last = hashIds.at(-2);
    if (last !== undefined) byLastBlock.set(last, name);
    return name;
  };
}
