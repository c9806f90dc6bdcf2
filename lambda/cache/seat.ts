import type { Frame, WholeAnswer } from '../backends/backend.ts';
import type { ChatCompletion } from '../contract/openai.ts';
import { Attempt } from '../failover/attempt.ts';
import type { Answered } from '../failover/dispatch.ts';
import type { StartedStream } from '../failover/start-stream.ts';
import { ApiError } from '../serving/errors.ts';
import type { AnswerSource, BackendSource } from '../serving/source.ts';
import { assemble } from './assemble.ts';
import type { AnswerFacts, Seat, SeatResult, SharedFailure } from './contract.ts';
import { type Content, formsOf } from './entry.ts';
import type { Flight, FlightEnd, Follower } from './flight.ts';

export interface SeatOptions {
  readonly flight: Flight;
  /** Absent for the one who leads. */
  readonly follower?: Follower;
  /** The client's. */
  readonly gone: AbortSignal;
  readonly ttlMs: number;
  encode(facts: AnswerFacts, content: Content): Promise<Buffer | undefined>;
  /** Keeps an answer that has no lease. */
  store(entry: Buffer, ttlMs: number): Promise<void>;
  /** The answer has been kept. */
  kept?(): Promise<void>;
  /** Whether a follower may have this answer, which was found for a similar request. */
  takes?(facts: AnswerFacts): boolean;
}

/** The leader is gone, and this follower leads from here on. */
class LeaderGone extends Error {
  override readonly name = 'LeaderGone';
}

/** @see Seat */
export class FlightSeat implements Seat {
  readonly #options: SeatOptions;
  readonly #flight: Flight;
  readonly #gone = new AbortController();
  #follower: Follower | undefined;
  #role: 'leads' | 'follows' | 'alone';
  #followed: Attempt | undefined;
  #completion: ChatCompletion | undefined;
  #isOver = false;
  #facts: AnswerFacts | undefined;

  constructor(options: SeatOptions) {
    this.#options = options;
    this.#flight = options.flight;
    this.#follower = options.follower;
    this.#role = options.follower === undefined ? 'leads' : 'follows';
    const { gone } = options;
    if (gone.aborted) this.#onGone();
    else gone.addEventListener('abort', this.#onGone, { once: true });
  }

  /** An answer that others wait for is finished without its client. */
  readonly #onGone = (): void => {
    if (this.#role !== 'leads' || !this.#flight.isShared) this.#gone.abort(this.#options.gone.reason);
  };

  get isFollowing(): boolean {
    return this.#role === 'follows';
  }

  get followed(): AnswerFacts | undefined {
    return this.isFollowing ? this.#facts : undefined;
  }

  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  get isShared(): boolean {
    return this.#flight.isShared;
  }

  get shared(): Promise<void> {
    return this.#flight.shared;
  }

  source(backends: BackendSource, signal: AbortSignal): AnswerSource {
    return {
      stream: () => (this.isFollowing ? this.#followStream(backends, signal) : this.#leadStream(backends.stream())),
      whole: () => (this.isFollowing ? this.#followWhole(backends, signal) : this.#leadWhole(backends)),
      resume: (broken, error, sent) => {
        if (broken !== this.#followed) return this.#leadStream(backends.resume(broken, error, sent));
        if (!(error instanceof LeaderGone)) throw error;
        return this.#leadStream(backends.takeOver(broken, this.#flight.events.map(toFrame)));
      },
    };
  }

  async settle(result: SeatResult): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#options.gone.removeEventListener('abort', this.#onGone);
    this.#followed?.end();
    if (this.#role === 'follows') this.#follower?.leave();
    if (this.#role !== 'leads') return;
    if (result.type === 'answered') await this.#finish(result);
    else if (result.failure !== undefined) await this.#fail(result.failure);
    else this.#flight.vacate(this.#flight.lease);
  }

  async #finish({ facts, isKeepable }: Extract<SeatResult, { type: 'answered' }>): Promise<void> {
    const { ttlMs, encode, store } = this.#options;
    const completion = this.#completion;
    const end: FlightEnd = { type: 'answer', facts, ...(completion === undefined ? {} : { completion }) };
    // Those who follow in this process needn't wait for the cache.
    this.#flight.finish(end);
    const content: Content = completion === undefined ? { events: this.#flight.events } : { completion };
    const entry = (await isKeepable(formsOf(content).completion())) ? await encode(facts, content) : undefined;
    if (this.#flight.lease !== undefined) await this.#flight.lease.finish(end, entry, ttlMs);
    else if (entry !== undefined) await store(entry, ttlMs);
    if (entry !== undefined) await this.#options.kept?.();
  }

  async #fail(failure: SharedFailure): Promise<void> {
    const end: FlightEnd = { type: 'failure', failure };
    this.#flight.finish(end);
    await this.#flight.lease?.finish(end, undefined, 0);
  }

  #lead(): void {
    this.#role = 'leads';
    this.#follower = undefined;
    if (this.#options.gone.aborted) this.#onGone();
  }

  async #leadStream(asking: Promise<Answered<StartedStream>>): Promise<Answered<StartedStream>> {
    const { attempt, answer } = await asking;
    const push = (frame: Frame): void => {
      if (!frame.usageOnly && this.#role === 'leads') this.#flight.push(frame.bytes, attempt.backend);
    };
    answer.opening.forEach(push);
    return { attempt, answer: { opening: answer.opening, rest: tapped(answer.rest, push) } };
  }

  async #leadWhole(backends: AnswerSource): Promise<Answered<WholeAnswer>> {
    const answered = await backends.whole();
    // The path writes its own usage into the one that the client gets.
    this.#completion = structuredClone(answered.answer.completion);
    return answered;
  }

  async #followStream(backends: BackendSource, signal: AbortSignal): Promise<Answered<StartedStream>> {
    const follower = this.#follower as Follower;
    const news = await follower.next(signal);
    if (news === undefined) return this.#goAlone().stream(backends);
    if (news.type === 'lead') {
      this.#lead();
      return this.#leadStream(backends.stream());
    }
    if (news.type === 'event') {
      const attempt = this.#followOn(news.backend, backends, signal);
      return { attempt, answer: { opening: [toFrame(news.bytes)], rest: this.#rest(follower, attempt, signal) } };
    }
    if (news.end.type === 'failure') throw toError(news.end.failure);
    const { facts, completion } = news.end;
    if (!this.#takes(facts)) return this.#goAlone().stream(backends);
    const attempt = this.#followOn(facts.backend, backends, signal);
    this.#ended(facts, attempt);
    const events = completion === undefined ? [] : formsOf({ completion }).events();
    return { attempt, answer: { opening: events.map(toFrame), rest: ended() } };
  }

  async *#rest(follower: Follower, attempt: Attempt, signal: AbortSignal): AsyncGenerator<Frame, undefined> {
    for (;;) {
      const news = await follower.next(signal);
      if (news === undefined || news.type === 'lead') {
        if (news === undefined) this.#role = 'alone';
        else this.#lead();
        throw new LeaderGone('who led is gone');
      }
      if (news.type === 'event') yield toFrame(news.bytes);
      else if (news.end.type === 'failure') throw toError(news.end.failure);
      else {
        this.#ended(news.end.facts, attempt);
        return undefined;
      }
    }
  }

  async #followWhole(backends: BackendSource, signal: AbortSignal): Promise<Answered<WholeAnswer>> {
    const follower = this.#follower as Follower;
    for (;;) {
      const news = await follower.next(signal);
      if (news === undefined) return this.#goAlone().whole(backends);
      if (news.type === 'lead') {
        this.#lead();
        return this.#leadWhole(backends);
      }
      if (news.type === 'event') continue;
      if (news.end.type === 'failure') throw toError(news.end.failure);
      const { facts, completion } = news.end;
      if (!this.#takes(facts)) return this.#goAlone().whole(backends);
      const attempt = this.#followOn(facts.backend, backends, signal);
      this.#ended(facts, attempt);
      const answer = completion === undefined ? assemble(this.#flight.events) : structuredClone(completion);
      return { attempt, answer: { completion: answer, ...(facts.usage && { usage: facts.usage }) } };
    }
  }

  #takes(facts: AnswerFacts): boolean {
    return facts.semantic === undefined || this.#options.takes?.(facts) !== false;
  }

  /** What the others get goes on without this one. */
  #goAlone(): {
    stream(b: AnswerSource): Promise<Answered<StartedStream>>;
    whole(b: AnswerSource): Promise<Answered<WholeAnswer>>;
  } {
    this.#role = 'alone';
    return { stream: (backends) => backends.stream(), whole: (backends) => backends.whole() };
  }

  /** Stands for the leader's attempt, which is paid for there. */
  #followOn(backend: string, backends: BackendSource, signal: AbortSignal): Attempt {
    const candidate = backends.candidate(backend);
    const attempt = new Attempt({ ...candidate, config: { ...candidate.config, id: backend } }, 'first', signal);
    this.#followed = attempt;
    return attempt;
  }

  #ended(facts: AnswerFacts, attempt: Attempt): void {
    this.#facts = facts;
    attempt.finishReason = facts.finishReason;
    attempt.usage = facts.usage;
    if (facts.usageEvent !== undefined) attempt.usageFrame = toFrame(Buffer.from(facts.usageEvent));
  }
}

async function* tapped(rest: AsyncIterator<Frame>, push: (frame: Frame) => void): AsyncGenerator<Frame, undefined> {
  try {
    for (;;) {
      const { value, done } = await rest.next();
      if (done) return undefined;
      push(value);
      yield value;
    }
  } finally {
    await rest.return?.();
  }
}

const toFrame = (bytes: Uint8Array): Frame => ({ bytes, output: true, usageOnly: false });

const ended = (): AsyncIterator<Frame> => ({ next: () => Promise.resolve({ value: undefined, done: true }) });

const toError = ({ status, message, ...rest }: SharedFailure): ApiError => new ApiError(status, message, rest);
