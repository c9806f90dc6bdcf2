import type { Frame, WholeAnswer } from '../backends/backend.ts';
import type { Attempt } from '../failover/attempt.ts';
import type { Candidate } from '../failover/candidate.ts';
import type { Answered } from '../failover/dispatch.ts';
import type { Session } from '../failover/session.ts';
import { dispatchStream, type StartedStream } from '../failover/start-stream.ts';
import { dispatchWhole } from '../failover/whole.ts';

/** Where a request's answer comes from: its model's backends, or another request that asked for the same. */
export interface AnswerSource {
  stream(): Promise<Answered<StartedStream>>;
  whole(): Promise<Answered<WholeAnswer>>;
  /** Goes on with a stream that broke off. `sent` is what the client has, if that was kept. */
  resume(broken: Attempt, error: unknown, sent: readonly Frame[] | undefined): Promise<Answered<StartedStream>>;
}

export interface BackendSource extends AnswerSource {
  /** Goes on with another request's answer, whose leader is gone. @throws BackendError when that isn't possible */
  takeOver(broken: Attempt, sent: readonly Frame[]): Promise<Answered<StartedStream>>;
  /** The candidate with this id; another one when there is none. */
  candidate(id: string): Candidate;
}

export function backendSource(session: Session, candidates: readonly Candidate[]): BackendSource {
  return {
    stream: () => dispatchStream(session),
    whole: () => dispatchWhole(session),
    resume: async (broken, error, sent) => (await resumption()).resume(session, broken, error, sent),
    takeOver: async (broken, sent) => (await resumption()).takeOver(session, broken, sent),
    candidate: (id) => (candidates.find(({ config }) => config.id === id) ?? candidates[0]) as Candidate,
  };
}

/** Loaded when a stream breaks off, which is rare. */
const resumption = () => import('../failover/resume.ts');
