import { BackendError, type Frame } from '../backends/backend.ts';
import type { Attempt } from './attempt.ts';
import { type Candidate, isStandIn } from './candidate.ts';
import { continuation, continuesItself, partialOf } from './continuation.ts';
import { type Answered, type Asking, dispatch } from './dispatch.ts';
import { parseFrame } from './frame-delta.ts';
import { mayResume } from './may-resume.ts';
import type { Session } from './session.ts';
import { splice } from './splice.ts';
import { discard, type StartedStream, startStream } from './start-stream.ts';
import { verdictOn } from './verdict.ts';

/** A stream that breaks off again and again isn't worth more of the client's time. */
const MAX_RESUMPTIONS = 3;

/**
 * Goes on with a stream that broke off after its first token: another backend is given what the client has, and what it
 * says next is spliced on.
 *
 * @param sent what the client has; `undefined` when it wasn't kept
 * @throws BackendError, the first failure, when nothing can go on with it
 */
export async function resume(
  session: Session,
  broken: Attempt,
  error: unknown,
  sent: readonly Frame[] | undefined,
): Promise<Answered<StartedStream>> {
  const failure = session.failed(broken, error);
  const { request, signal } = session.options;
  if (signal.aborted) throw failure;
  // Only what follows an answer is missing: its usage, or the end of the stream.
  if (broken.finishReason !== undefined && (request.n ?? 1) === 1) return { attempt: broken, answer: ended() };
  const partial = sent && partialOf(sent);
  const [sample] = sent ?? [];
  if (partial === undefined || sample === undefined || partial.isMore || !mayResume(session)) throw failure;
  const order = resumersOf(session, broken, failure);
  if (order.length === 0) throw failure;
  try {
    return await goOn(session, order, sample, partial.text);
  } catch {
    throw failure;
  }
}

/**
 * Goes on with another request's answer, whose leader is gone.
 *
 * @param sent what all who follow it have
 * @throws BackendError when nothing can go on with it, DispatchError when nothing did
 */
export async function takeOver(
  session: Session,
  broken: Attempt,
  sent: readonly Frame[],
): Promise<Answered<StartedStream>> {
  const { request, plan } = session.options;
  if ((request.n ?? 1) === 1 && sent.some(isLast)) return { attempt: broken, answer: ended() };
  const partial = partialOf(sent);
  const [sample] = sent;
  const order = plan.order.filter(({ config }) => !isStandIn(config));
  if (sample === undefined || partial.isMore || !mayResume(session) || order.length === 0) {
    throw new BackendError(broken.backend, 'connection', 'the request that led this answer is gone');
  }
  return goOn(session, order, sample, partial.text);
}

function goOn(
  session: Session,
  order: readonly Candidate[],
  sample: Frame,
  text: string,
): Promise<Answered<StartedStream>> {
  const ask: Asking<StartedStream>['ask'] = async (attempt, others) => {
    const { config } = attempt.candidate;
    const next = continuation(session.options.requestFor(attempt.candidate), text, config);
    const started = await startStream(session, attempt, others, next);
    return splice(started, { sample, text, mayRepeat: !continuesItself(config) });
  };
  return dispatch(session, { ask, discard }, { order, lastResort: [], reason: 'resume' });
}

const isLast = (frame: Frame): boolean => {
  const { choices } = parseFrame(frame) as { choices?: ReadonlyArray<{ finish_reason?: unknown }> };
  return choices?.some(({ finish_reason: reason }) => typeof reason === 'string') === true;
};

/** Backends that haven't failed this request; the one that broke off itself when there is no other, as a retry. */
function resumersOf(session: Session, broken: Attempt, failure: BackendError): readonly Candidate[] {
  const { plan, policy } = session.options;
  const resumptions = session.attempts.filter(({ reason }) => reason === 'resume').length;
  if (resumptions >= MAX_RESUMPTIONS || verdictOn(failure, policy) !== 'next') return [];
  const failed = new Set(session.attempts.filter((each) => each.failure !== undefined).map((each) => each.backend));
  const others = plan.order.filter(({ config }) => !isStandIn(config) && !failed.has(config.id));
  if (others.length > 0) return others;
  return session.mayRepeat() ? [broken.candidate] : [];
}

const ended = (): StartedStream => ({
  opening: [],
  rest: { next: () => Promise.resolve({ value: undefined, done: true }) },
});
