import { BackendError, type Frame, type WholeAnswer } from '../backends/backend.ts';
import { failsOver } from './fallback-policy.ts';
import type { ChatCompletionRequest } from './openai.ts';
import type { Candidate } from './route.ts';

export interface DispatchOptions {
  readonly requestId: string;
  readonly attribution: Readonly<Record<string, string>>;
  readonly priority?: number;
  readonly session?: string;
  readonly signal: AbortSignal;
  /** The request as this backend gets it. */
  requestFor(candidate: Candidate): ChatCompletionRequest;
}

export interface Dispatched<T> {
  readonly candidate: Candidate;
  readonly answer: T;
  /** Of the backends that were asked before. */
  readonly failures: readonly BackendError[];
}

/** A stream that has begun: nothing of it has gone to the client yet, but from here on it is this backend's answer. */
export interface StartedStream {
  /** What came up to the first output, that included. */
  readonly opening: readonly Frame[];
  readonly rest: AsyncIterator<Frame>;
}

/** Every backend that was asked failed, or one refused the request. */
export class DispatchError extends Error {
  override readonly name = 'DispatchError';
  readonly failures: readonly BackendError[];

  constructor(failures: readonly BackendError[]) {
    super(`no backend answered: ${failures.map(({ backend, kind }) => `${backend}: ${kind}`).join(', ')}`, {
      cause: failures.at(-1),
    });
    this.failures = failures;
  }
}

/** @throws DispatchError */
export function dispatchStream(candidates: readonly Candidate[], options: DispatchOptions) {
  return firstThatAnswers(candidates, (candidate) => startStream(candidate, options));
}

/** @throws DispatchError */
export function dispatchWhole(
  candidates: readonly Candidate[],
  options: DispatchOptions,
): Promise<Dispatched<WholeAnswer>> {
  return firstThatAnswers(candidates, (candidate) => candidate.backend.complete(callOf(candidate, options)));
}

async function firstThatAnswers<T>(
  candidates: readonly Candidate[],
  attempt: (candidate: Candidate) => Promise<T>,
): Promise<Dispatched<T>> {
  const failures: BackendError[] = [];
  for (const candidate of candidates) {
    // Here as in `route`: a fixed reply doesn't stand in for what the models can't do.
    const isRefused = failures.length > 0 && failures.every(({ kind }) => kind === 'invalid-request');
    if (isRefused && candidate.config.kind === 'static-reply') break;
    try {
      return { candidate, answer: await attempt(candidate), failures };
    } catch (error) {
      const failure = asBackendError(candidate, error);
      failures.push(failure);
      if (!failsOver(failure)) break;
    }
  }
  throw new DispatchError(failures);
}

/** A role alone is no answer yet: a backend that says it and dies is one that failed before its first token. */
async function startStream(candidate: Candidate, options: DispatchOptions): Promise<StartedStream> {
  const { frames } = await candidate.backend.stream(callOf(candidate, options));
  const rest = frames[Symbol.asyncIterator]();
  const opening: Frame[] = [];
  for (;;) {
    const { value, done } = await rest.next();
    if (done) throw new BackendError(candidate.config.id, 'protocol', 'the stream ended without any output');
    opening.push(value);
    if (value.output) return { opening, rest };
  }
}

const callOf = (candidate: Candidate, options: DispatchOptions) => ({
  requestId: options.requestId,
  request: options.requestFor(candidate),
  attribution: options.attribution,
  ...(options.priority === undefined ? {} : { priority: options.priority }),
  ...(options.session === undefined ? {} : { session: options.session }),
  signal: options.signal,
});

/** Whatever a backend throws counts as its failure: a fault in one translator must not keep the next from answering. */
export const asBackendError = (candidate: Candidate, error: unknown): BackendError =>
  error instanceof BackendError
    ? error
    : new BackendError(candidate.config.id, 'server', 'unexpected failure in the backend module', { cause: error });
