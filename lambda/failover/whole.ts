import type { WholeAnswer } from '../backends/backend.ts';
import type { Attempt } from './attempt.ts';
import { type Answered, dispatch } from './dispatch.ts';
import { LowQuality, problemOf } from './quality.ts';
import type { Session } from './session.ts';

/** @throws DispatchError */
export function dispatchWhole(session: Session): Promise<Answered<WholeAnswer>> {
  return dispatch(session, { ask: (attempt, others) => ask(session, attempt, others), discard: () => {} });
}

/**
 * Nothing of a whole answer is seen before it is finished, so that a backend which hangs looks like one that thinks:
 * each gets its own deadline, or its share of what is left, and leaves the others theirs.
 */
async function ask(session: Session, attempt: Attempt, others: number): Promise<WholeAnswer> {
  const { policy, request, leftMs } = session.options;
  const { candidate } = attempt;
  const own = candidate.config.deadlines.wholeAnswerMs;
  if (own !== undefined || others > 0) attempt.expect('the answer', own ?? leftMs() / (others + 1));
  // Until it is finished nobody says whether it is being worked on: what is under way counts as such.
  const onSent = (): void => {
    attempt.accepted = true;
  };
  const answer = await candidate.backend.complete({ ...session.callOf(attempt), onSent });
  attempt.arrived();
  attempt.accepted = true;
  attempt.usage = answer.usage;
  const { completion } = answer;
  attempt.finishReason = completion.choices.at(-1)?.finish_reason ?? undefined;
  if (answer.usage === undefined) attempt.output.addText(JSON.stringify(completion.choices));
  const problem = await problemOf(completion, request, candidate.config, policy.quality);
  if (problem !== undefined) throw new LowQuality(attempt.backend, problem, answer);
  return answer;
}
