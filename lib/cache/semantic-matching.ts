import { Duration } from 'aws-cdk-lib';
import type { SemanticCacheConfig } from '../private/serving-config';
import { requireDuration, requireInteger, requireKnown, requireNumber } from '../private/validation';
import type { IEmbedding } from './embedding';

/** What two prompts must have in common beside their vectors being near. */
export enum SemanticGuards {
  /**
   * The same numbers, dates, negations, opposites, names, quotations and code, in the same order, and the same words but
   * for those that a question is worded with.
   */
  STRICT = 'strict',
  /**
   * The same numbers, dates, negations, opposites, names, quotations and code, in the same order, and no one or two words
   * exchanged for as many others.
   */
  STANDARD = 'standard',
  /** Nothing: the vectors alone decide, and they are often wrong. */
  NONE = 'none',
}

/** Which answers are given to requests that are only similar. */
export interface SemanticMatching {
  /** What turns a prompt into a vector. */
  readonly embedding: IEmbedding;

  /**
   * The least cosine of two prompts' vectors, 0.5–1. There is no default, for it means something else with each embedding:
   * `llm-serving cache score` measures it on prompts of yours.
   */
  readonly threshold: number;

  /**
   * What two prompts must have in common beside that.
   *
   * @default SemanticGuards.STRICT
   */
  readonly guards?: SemanticGuards;

  /**
   * How long the embedding and the search may take together, 10 ms to 5 s. After that the request goes on without them.
   * Each miss waits for it.
   *
   * @default Duration.millis(400)
   */
  readonly timeout?: Duration;

  /**
   * Shorter messages are compared with none: `yes` means what was asked before it.
   *
   * @default 12
   */
  readonly minCharacters?: number;

  /**
   * Longer messages are compared with none: the longer they are, the less a vector shows of a difference. At most 2000.
   *
   * @default 600
   */
  readonly maxCharacters?: number;

  /**
   * How many messages of the user's a conversation may have, 1–20. All but the last one have to be the same.
   *
   * @default 1
   */
  readonly maxTurns?: number;

  /**
   * Whether requests with tools are compared. The tools have to be the same.
   *
   * @default false
   */
  readonly tools?: boolean;

  /**
   * Whether requests for JSON are compared. The schema has to be the same.
   *
   * @default false
   */
  readonly structuredOutput?: boolean;
}

/** @internal */
export function renderSemanticMatching(matching: SemanticMatching): SemanticCacheConfig {
  const { embedding, threshold, minCharacters = 12, maxCharacters = 600, maxTurns = 1 } = matching;
  for (const [prop, value] of Object.entries({ threshold, minCharacters, maxCharacters, maxTurns })) {
    requireKnown(prop, value);
  }
  requireNumber('threshold', threshold, 0.5, 1);
  requireInteger('maxCharacters', maxCharacters, 1, 2000);
  requireInteger('minCharacters', minCharacters, 1, maxCharacters);
  requireInteger('maxTurns', maxTurns, 1, 20);
  return {
    embedding: embedding._render(),
    threshold,
    guards: matching.guards ?? SemanticGuards.STRICT,
    timeoutMs: requireDuration(
      'timeout',
      matching.timeout ?? Duration.millis(400),
      Duration.millis(10),
      Duration.seconds(5),
    ),
    ...{ minCharacters, maxCharacters, maxTurns },
    tools: matching.tools ?? false,
    structuredOutput: matching.structuredOutput ?? false,
  };
}
