import { randomUUID } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AccountConcurrency } from './account.ts';
import { ExecutionEnvironment, runtimeVariables } from './execution-environment.ts';
import {
  FunctionError,
  type InvocationResponse,
  MAX_SYNCHRONOUS_PAYLOAD,
  RequestTooLargeError,
  ThrottledError,
} from './invocation.ts';

export interface FunctionOptions {
  /** @default 'function' */
  readonly name?: string;
  /** @default made from name and region */
  readonly arn?: string;
  /** Folder with the function's code. */
  readonly codeDir: string;
  /** `<module>.<export>` */
  readonly handler: string;
  /** @default 'nodejs24.x' */
  readonly runtime?: string;
  /** @default - no variables but the runtime's own */
  readonly environment?: Readonly<Record<string, string>>;
  /** @default 512 */
  readonly memoryMb?: number;
  /** @default 30000 */
  readonly timeoutMs?: number;
  /**
   * Invocations at once in one environment. More than one runs the client in its multi-concurrent mode, as Lambda
   * Managed Instances do; one is Lambda on demand. `1` with `multiConcurrent` is that mode with a single slot.
   * @default 1
   */
  readonly concurrency?: number;
  /** @default - true when concurrency is more than 1 */
  readonly multiConcurrent?: boolean;
  /** Environments (processes) at once; beyond them invocations are throttled. @default 64 */
  readonly maxEnvironments?: number;
  /** An unused environment is ended after so long. @default 30000 */
  readonly idleMs?: number;
  /** @default 'us-east-1' */
  readonly region?: string;
  /** @default 'Text' */
  readonly logFormat?: string;
  /** One line that the function wrote. @default - dropped */
  readonly log?: (line: string) => void;
  /** Room for processes, shared by the functions of an account. @default - no such limit */
  readonly account?: AccountConcurrency;
}

interface Slot {
  readonly environment: ExecutionEnvironment;
  running: number;
  /** Takes a place of the account. */
  counted: boolean;
  /** The answer is out and the runtime hasn't asked for more yet. Resolves when it does. */
  wrappingUp: Promise<void> | undefined;
  idleSince: number;
}

/** On demand: Lambda gives the initialization 10 s, then once more as long as the invocation may last. */
const INIT_MS = 10_000;
/** Managed Instances: 130 s or the function's time-out, whichever is longer. */
const MANAGED_INSTANCES_INIT_MS = 130_000;

const WRAP_UP_MS = 50;

/** Shorter than Lambda's minutes: each environment holds some 60 MB of one machine. */
const IDLE_MS = 30_000;

/** Runs one function's code in as many processes as its invocations need. */
export class LocalFunction {
  readonly name: string;
  readonly arn: string;
  readonly #options: FunctionOptions;
  readonly #slots = new Set<Slot>();
  readonly #concurrency: number;
  readonly #multiConcurrent: boolean;
  readonly #reaper: NodeJS.Timeout;
  #closed = false;

  constructor(options: FunctionOptions) {
    this.#options = options;
    this.name = options.name ?? 'function';
    this.arn = options.arn ?? `arn:aws:lambda:${options.region ?? 'us-east-1'}:000000000000:function:${this.name}`;
    this.#concurrency = options.concurrency ?? 1;
    this.#multiConcurrent = options.multiConcurrent ?? this.#concurrency > 1;
    const idleMs = options.idleMs ?? IDLE_MS;
    this.#reaper = setInterval(() => this.#reap(idleMs), Math.min(idleMs, 10_000));
    this.#reaper.unref();
    const longestIdle = (): Slot | undefined =>
      [...this.#slots]
        .filter((slot) => slot.environment.alive && slot.running === 0)
        .sort((a, b) => a.idleSince - b.idleSince)[0];
    options.account?.join({
      get idleSince() {
        return longestIdle()?.idleSince;
      },
      endIdle: () => {
        const slot = longestIdle();
        if (slot !== undefined) this.#end(slot);
      },
    });
  }

  get timeoutMs(): number {
    return this.#options.timeoutMs ?? 30_000;
  }

  /** Process ids of the environments, oldest first. */
  get pids(): number[] {
    return [...this.#slots].flatMap((slot) => slot.environment.pid ?? []);
  }

  /** Milliseconds that each environment's initialization took, oldest first. */
  get initDurations(): number[] {
    return [...this.#slots].flatMap((slot) => slot.environment.initDuration ?? []);
  }

  /** @throws FunctionError, ThrottledError, RequestTooLargeError */
  async invoke(event: unknown): Promise<InvocationResponse> {
    const payload = Buffer.from(JSON.stringify(event) ?? 'null');
    if (payload.length > MAX_SYNCHRONOUS_PAYLOAD) {
      throw new RequestTooLargeError(`${payload.length} byte payload is too large for the Invoke operation`);
    }
    await this.#nearlyFree();
    const slot = this.#lease();
    try {
      await slot.environment.ready;
    } catch (error) {
      this.#release(slot);
      throw error;
    }
    return this.#run(slot, payload);
  }

  /** `invoke` for a streaming handler: its bytes, prelude included, as they come. */
  async invokeStreaming(event: unknown): Promise<Extract<InvocationResponse, { kind: 'streaming' }>> {
    const response = await this.invoke(event);
    if (response.kind !== 'streaming') throw new Error(`the handler of ${this.name} doesn't stream its answer`);
    return response;
  }

  /** Ends every process of the function. */
  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#reaper);
    const environments = [...this.#slots].map((slot) => slot.environment);
    for (const environment of environments) environment.stop();
    await Promise.all(environments.map((environment) => environment.exited));
  }

  /**
   * A caller who has an answer may ask again before the runtime does, a millisecond later: that is no reason to start
   * another process.
   */
  async #nearlyFree(): Promise<void> {
    const slots = [...this.#slots].filter((slot) => slot.environment.alive);
    if (slots.some((slot) => slot.running < this.#concurrency)) return;
    const wrappingUp = slots.flatMap((slot) => slot.wrappingUp ?? []);
    if (wrappingUp.length > 0) await Promise.race([...wrappingUp, sleep(WRAP_UP_MS)]);
  }

  #lease(): Slot {
    if (this.#closed) throw new Error(`function ${this.name} is closed`);
    for (const slot of this.#slots) {
      if (slot.environment.alive && slot.running < this.#concurrency) {
        slot.running++;
        return slot;
      }
    }
    const alive = [...this.#slots].filter((slot) => slot.environment.alive).length;
    if (alive >= (this.#options.maxEnvironments ?? 64)) throw new ThrottledError('Rate Exceeded.');
    if (this.#options.account?.acquire() === false) throw new ThrottledError('Rate Exceeded.');
    const slot = this.#start();
    slot.running++;
    return slot;
  }

  #release(slot: Slot): void {
    slot.running--;
    slot.idleSince = performance.now();
  }

  #end(slot: Slot): void {
    slot.environment.stop();
    this.#uncount(slot);
  }

  /** Once for each process: it is ended first, and gone later. */
  #uncount(slot: Slot): void {
    if (!slot.counted) return;
    slot.counted = false;
    this.#options.account?.release();
  }

  #start(): Slot {
    const { codeDir, handler, environment = {}, memoryMb = 512, region = 'us-east-1', runtime } = this.#options;
    const multiConcurrent = this.#multiConcurrent;
    const slot: Slot = {
      environment: new ExecutionEnvironment({
        codeDir,
        memoryMb,
        initTimeoutMs: multiConcurrent ? Math.max(MANAGED_INSTANCES_INIT_MS, this.timeoutMs) : INIT_MS + this.timeoutMs,
        variables: {
          ...environment,
          ...runtimeVariables({
            codeDir,
            handler,
            memoryMb,
            region,
            runtime: runtime ?? 'nodejs24.x',
            functionName: this.name,
            functionVersion: '$LATEST',
            logGroup: `/aws/lambda/${this.name}`,
            logFormat: this.#options.logFormat ?? 'Text',
            ...(multiConcurrent ? { maxConcurrency: this.#concurrency } : {}),
          }),
        },
        log: this.#options.log ?? (() => {}),
        onExit: () => {
          this.#slots.delete(slot);
          this.#uncount(slot);
        },
      }),
      running: 0,
      counted: true,
      wrappingUp: undefined,
      idleSince: performance.now(),
    };
    this.#slots.add(slot);
    return slot;
  }

  #run(slot: Slot, event: Buffer): Promise<InvocationResponse> {
    const { environment } = slot;
    const requestId = randomUUID();
    const { promise, resolve, reject } = Promise.withResolvers<InvocationResponse>();
    let body: Extract<InvocationResponse, { kind: 'streaming' }>['body'] | undefined;
    let finished = false;
    let stopListening = (): void => {};
    const finish = (): void => {
      if (finished) return;
      finished = true;
      clearTimeout(timer);
      stopListening();
      slot.wrappingUp = undefined;
      this.#release(slot);
    };
    const failed = (error: FunctionError): void => {
      reject(error);
      body?.destroy(error);
    };
    const timer = setTimeout(() => {
      const error = new FunctionError(
        'Sandbox.Timedout',
        `RequestId: ${requestId} Error: Task timed out after ${(this.timeoutMs / 1000).toFixed(2)} seconds`,
      );
      this.#options.log?.(error.message);
      failed(error);
      finish();
      // The environment of one invocation is ended with it; one that holds others goes on.
      if (this.#multiConcurrent) environment.abandon(requestId);
      else environment.stop(error);
    }, this.timeoutMs);
    environment.run({
      requestId,
      event,
      deadline: Date.now() + this.timeoutMs,
      functionArn: this.arn,
      answered: (response) => {
        if (response.kind === 'streaming') body = response.body;
        resolve(response);
      },
      failed,
      completed: () => {
        // One at a time: the environment is free when its runtime asks for more, not when the answer is out.
        if (this.#multiConcurrent || !environment.alive) finish();
        else {
          slot.wrappingUp = new Promise((done) => {
            stopListening = environment.onNext(() => {
              finish();
              done();
            });
          });
        }
      },
    });
    return promise;
  }

  #reap(idleMs: number): void {
    const now = performance.now();
    for (const slot of this.#slots) {
      if (slot.running === 0 && now - slot.idleSince >= idleMs) this.#end(slot);
    }
  }
}

/** One function alone, without a template: what benchmarks and tests drive. */
export function startFunction(options: FunctionOptions): LocalFunction {
  return new LocalFunction(options);
}
