import { BackendError, type Frame } from '../backends/backend.ts';
import type { ChatCompletionRequest } from '../contract/openai.ts';
import type { Attempt } from './attempt.ts';
import { type Answered, dispatch } from './dispatch.ts';
import { deltaOf } from './frame-delta.ts';
import { isForeignFilter, LowQuality, matches } from './quality.ts';
import type { Session } from './session.ts';

/** A stream that has begun: nothing of it has gone to the client yet, but from here on it is this backend's answer. */
export interface StartedStream {
  /** What came up to the first output, or as much as was held back to judge it. Metered already. */
  readonly opening: readonly Frame[];
  readonly rest: AsyncIterator<Frame>;
}

/** @throws DispatchError */
export function dispatchStream(session: Session): Promise<Answered<StartedStream>> {
  return dispatch(session, { ask: (attempt, others) => startStream(session, attempt, others), discard });
}

export function discard({ rest }: StartedStream): void {
  rest.return?.().catch(() => undefined);
}

/**
 * A role alone is no answer yet: a backend that says it and dies is one that failed before its first token. What can be
 * judged of an answer's beginning is judged before any of it is the client's.
 */
export async function startStream(
  session: Session,
  attempt: Attempt,
  others: number,
  request?: ChatCompletionRequest,
): Promise<StartedStream> {
  const { policy } = session.options;
  if (policy.firstTokenMs !== undefined && others > 0) attempt.expect('the first token', policy.firstTokenMs);
  const { frames } = await attempt.candidate.backend.stream(session.callOf(attempt, request));
  attempt.accepted = true;
  const rest = frames[Symbol.asyncIterator]();
  const opening: Frame[] = [];
  const started = { opening, rest };
  let text = '';
  for (;;) {
    const { value: frame, done } = await rest.next();
    if (done) {
      if (attempt.firstTokenMs !== undefined) return started;
      throw new BackendError(attempt.backend, 'protocol', 'the stream ended without any output');
    }
    if (attempt.note(frame)) opening.push(frame);
    if (!frame.output) continue;
    const isFirst = attempt.firstTokenMs === undefined;
    attempt.firstTokenMs ??= attempt.elapsedMs;
    attempt.arrived();
    if (isFirst && frame.finishReason !== undefined) {
      const problem = problemAtOnce(frame, session, attempt);
      if (problem !== undefined) throw new LowQuality(attempt.backend, problem, started);
    }
    const { patterns, holdBackCharacters } = policy.quality;
    if (patterns.length === 0 || holdBackCharacters === 0) return started;
    const { content } = deltaOf(frame);
    text += content;
    if (matches(text, policy.quality)) {
      throw new LowQuality(attempt.backend, 'it begins with a pattern of the policy', started);
    }
    // A tool call or reasoning isn't what the patterns are about.
    if (content === '' || text.length >= holdBackCharacters || frame.finishReason !== undefined) return started;
  }
}

/** The first output is the last: the answer ended before it began. */
function problemAtOnce(frame: Frame, { options }: Session, attempt: Attempt): string | undefined {
  const { quality } = options.policy;
  if (quality.contentFilter && isForeignFilter(frame.finishReason, attempt.candidate.config)) {
    return 'it was stopped by a content filter';
  }
  const isEnd = frame.finishReason === 'stop' || frame.finishReason === 'tool_calls';
  return quality.empty && isEnd && deltaOf(frame).isEmpty ? 'it is empty' : undefined;
}
