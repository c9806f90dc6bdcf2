import { type ChildProcess, spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { performance } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { FunctionError } from './invocation.ts';
import { watchMemory } from './memory-watch.ts';
import { type PendingInvocation, RuntimeApi } from './runtime-api.ts';

export interface EnvironmentOptions {
  readonly codeDir: string;
  /** The function's whole environment; nothing of this process's own is added. */
  readonly variables: Readonly<Record<string, string>>;
  readonly memoryMb: number;
  /** Milliseconds until the runtime must have asked for its first invocation. */
  readonly initTimeoutMs: number;
  log(line: string): void;
  onExit(): void;
}

const RUNTIME_CLIENT = createRequire(import.meta.url).resolve('aws-lambda-ric');
const PRELOAD = new URL('./runtime-client/preload.mjs', import.meta.url).href;

/** Lambda's Node.js runtime gives the heap nine tenths of the function's memory. */
const HEAP_SHARE = 0.9;

/** A process of its own that runs a function's code under AWS's runtime client, and the Runtime API that it talks to. */
export class ExecutionEnvironment {
  /** Resolves when the runtime asks for work for the first time; rejects when its initialization failed. */
  readonly ready: Promise<void>;
  /** Resolves when the process is gone. */
  readonly exited: Promise<void>;
  /** Milliseconds from the process's start to `ready`. */
  initDuration: number | undefined;
  readonly #options: EnvironmentOptions;
  readonly #api: RuntimeApi;
  readonly #nextListeners = new Set<() => void>();
  readonly #resolveExited: () => void;
  #child: ChildProcess | undefined;
  #exit: FunctionError | undefined;
  #initError: FunctionError | undefined;
  #stopReason: FunctionError | undefined;

  constructor(options: EnvironmentOptions) {
    this.#options = options;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const started = performance.now();
    this.ready = promise;
    const exited = Promise.withResolvers<void>();
    this.exited = exited.promise;
    this.#resolveExited = exited.resolve;
    // Waited for by the invocation that asked for this environment; a failure without one is no crash of ours.
    promise.catch(() => {});
    this.#api = new RuntimeApi({
      onNext: () => {
        this.initDuration ??= performance.now() - started;
        resolve();
        for (const listener of this.#nextListeners) listener();
      },
      onInitError: (error) => {
        this.#initError = error;
        reject(error);
      },
    });
    const timer = setTimeout(() => {
      const error = new FunctionError(
        'Sandbox.Timedout',
        `Init timed out after ${options.initTimeoutMs / 1000} seconds`,
      );
      reject(error);
      this.stop(error);
    }, options.initTimeoutMs);
    promise.then(
      () => clearTimeout(timer),
      () => clearTimeout(timer),
    );
    void this.#spawn(reject);
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get alive(): boolean {
    return this.#exit === undefined && this.#stopReason === undefined;
  }

  /** Calls back each time the runtime asks for work. Returns the way to stop that. */
  onNext(listener: () => void): () => void {
    this.#nextListeners.add(listener);
    return () => this.#nextListeners.delete(listener);
  }

  run(invocation: PendingInvocation): void {
    if (this.#exit !== undefined) {
      invocation.failed(this.#exit);
      invocation.completed();
      return;
    }
    this.#api.offer(invocation);
  }

  abandon(requestId: string): void {
    this.#api.abandon(requestId);
  }

  /** Ends the process; what it was doing fails with `reason`. */
  stop(reason = new FunctionError('Runtime.ExitError', 'the execution environment was shut down')): void {
    if (!this.alive) return;
    this.#stopReason = reason;
    this.#api.fail(reason);
    this.#child?.kill('SIGKILL');
  }

  async #spawn(reject: (error: Error) => void): Promise<void> {
    const { codeDir, variables, memoryMb, log } = this.#options;
    let address: string;
    try {
      address = await this.#api.listen();
    } catch (error) {
      reject(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    if (this.#stopReason !== undefined) {
      this.#exited(this.#stopReason, reject);
      return;
    }
    const heap = Math.floor(memoryMb * HEAP_SHARE);
    const child = spawn(process.execPath, [`--max-old-space-size=${heap}`, '--import', PRELOAD, RUNTIME_CLIENT], {
      cwd: codeDir,
      env: {
        ...variables,
        AWS_LAMBDA_RUNTIME_API: address,
      },
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    });
    this.#child = child;
    for (const output of [child.stdout, child.stderr]) {
      createInterface({ input: output as Readable, crlfDelay: Number.POSITIVE_INFINITY }).on('line', log);
    }
    const unwatch = watchMemory(child.pid, memoryMb, () =>
      this.stop(new FunctionError('Runtime.OutOfMemory', 'Runtime exited with error: signal: killed')),
    );
    child.once('error', (error) => this.#exited(new FunctionError('Runtime.ExitError', error.message), reject));
    child.once('exit', (code, signal) => {
      unwatch();
      const how = signal === null ? `exit status ${code}` : `signal: ${signal}`;
      this.#exited(new FunctionError('Runtime.ExitError', `Runtime exited with error: ${how}`), reject);
    });
  }

  #exited(error: FunctionError, reject: (error: Error) => void): void {
    if (this.#exit !== undefined) return;
    // After a failed initialization the client exits by itself: what it reported says more than that it is gone.
    this.#exit = this.#stopReason ?? this.#initError ?? error;
    reject(this.#exit);
    this.#api.fail(this.#exit);
    this.#api.close();
    this.#options.onExit();
    this.#resolveExited();
  }
}

/** What AWS's runtime client reads besides the function's own variables. */
export function runtimeVariables(options: {
  readonly codeDir: string;
  readonly handler: string;
  readonly runtime: string;
  readonly functionName: string;
  readonly functionVersion: string;
  readonly memoryMb: number;
  readonly region: string;
  readonly logGroup: string;
  readonly logFormat: string;
  readonly maxConcurrency?: number;
}): Record<string, string> {
  return {
    PATH: '/usr/local/bin:/usr/bin:/bin',
    LANG: 'en_US.UTF-8',
    TZ: ':UTC',
    _HANDLER: options.handler,
    LAMBDA_TASK_ROOT: options.codeDir,
    LAMBDA_RUNTIME_DIR: dirname(RUNTIME_CLIENT),
    AWS_EXECUTION_ENV: `AWS_Lambda_${options.runtime}`,
    AWS_LAMBDA_FUNCTION_NAME: options.functionName,
    AWS_LAMBDA_FUNCTION_VERSION: options.functionVersion,
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(options.memoryMb),
    AWS_LAMBDA_INITIALIZATION_TYPE: options.maxConcurrency === undefined ? 'on-demand' : 'lambda-managed-instances',
    AWS_LAMBDA_LOG_GROUP_NAME: options.logGroup,
    AWS_LAMBDA_LOG_STREAM_NAME: `local/[${options.functionVersion}]`,
    AWS_LAMBDA_LOG_FORMAT: options.logFormat,
    AWS_REGION: options.region,
    AWS_DEFAULT_REGION: options.region,
    ...(options.maxConcurrency === undefined ? {} : { AWS_LAMBDA_MAX_CONCURRENCY: String(options.maxConcurrency) }),
  };
}
