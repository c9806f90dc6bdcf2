import type { TextModelOptions } from '../model/index.ts';
import type { EngineKind, OtherFacts } from './dialects.ts';
import type { StepPace } from './scheduler.ts';

/** What the local run tells an engine's process beside what the task definition says. */
export interface Situation {
  /** @default - vLLM */
  readonly kind?: EngineKind;
  /** Of an engine of the kind `other`. */
  readonly other?: OtherFacts;
  /** Port of 127.0.0.1 by container port: several tasks share one machine. */
  readonly ports: Readonly<Record<string, number>>;
  /** Real milliseconds until the weights are there. */
  readonly loadMs: number;
  readonly model: Pick<TextModelOptions, 'upstream' | 'upstreamApiKey' | 'upstreamModel' | 'gguf' | 'answerTokens'>;
  /** Of the simulated model. */
  readonly pace: StepPace;
}

/** An 8B model on one L4-class GPU: some 60 tokens a second alone, 25 each in a batch of 100. */
export const DEFAULT_PACE: StepPace = { baseMs: 16, perSequenceMs: 0.25, prefillTokensPerSecond: 8_000 };

const VARIABLE = 'LOCAL_ENGINE';

export function situationVariables(situation: Situation): Record<string, string> {
  return { [VARIABLE]: JSON.stringify(situation) };
}

export function readSituation(environment: Readonly<Record<string, string | undefined>>): Situation {
  return JSON.parse(environment[VARIABLE] ?? '') as Situation;
}
