import { Duration, Size } from 'aws-cdk-lib';
import type { CacheContext } from '../private/cache-binding';
import type { CachePolicyConfig } from '../private/serving-config';
import { requireDuration, requireKnown, requireNumber, requireSize } from '../private/validation';
import { renderSemanticMatching, type SemanticMatching } from './semantic-matching';

/** Who gets whose answers. */
export enum CacheScope {
  /** Each consumer its own. */
  CONSUMER = 'consumer',
  /** All consumers of a tier each other's: that another of them asked the same shows in the answer's speed. */
  TIER = 'tier',
  /** All consumers each other's. Only where prompts hold nothing that is anybody's own. */
  GLOBAL = 'global',
}

/** Which answers of a model are kept, for how long and for whom. */
export interface CachePolicyOptions {
  /**
   * How long an answer is kept, 1 second to 30 days.
   *
   * @default Duration.hours(1)
   */
  readonly ttl?: Duration;

  /**
   * Who gets whose answers.
   *
   * @default CacheScope.CONSUMER
   */
  readonly scope?: CacheScope;

  /**
   * Requests with a higher temperature are answered anew, unless they have a `seed`; one without a temperature counts
   * as 1. 0–2.
   *
   * @default - any
   */
  readonly maxTemperature?: number;

  /**
   * Only requests with a `seed` are answered from the cache.
   *
   * @default false
   */
  readonly requireSeed?: boolean;

  /**
   * Whether requests with tools are answered from the cache.
   *
   * @default true
   */
  readonly tools?: boolean;

  /**
   * Requests with a larger body are answered anew.
   *
   * @default Size.mebibytes(1)
   */
  readonly maxRequestSize?: Size;

  /**
   * Larger answers aren't kept, as they are before compression; at most 16 MiB. A token of a stream is about 200 bytes.
   *
   * @default Size.mebibytes(2)
   */
  readonly maxAnswerSize?: Size;

  /**
   * Larger answers are kept compressed.
   *
   * @default Size.kibibytes(2)
   */
  readonly compressAbove?: Size;

  /**
   * How long a replayed stream pauses between two events, at most 1 second.
   *
   * @default Duration.millis(0) - all at once
   */
  readonly replayInterval?: Duration;

  /**
   * Part of every key: another version leaves all older answers behind. What the gateway sees of a model's backends is
   * part of the key anyway; new weights under an old name are not.
   *
   * @default - none
   */
  readonly version?: string;

  /**
   * Gives answers to requests that are only similar, too. They can be wrong, and each miss is slower and dearer: read
   * `docs/cache.md` first, and measure with `llm-serving cache score`. Needs a cache that can search vectors
   * (`NodeResponseCache`).
   *
   * @default - none: an answer is given to the same request only
   */
  readonly semantic?: SemanticMatching;
}

/** What the cache does for a model. */
export class CachePolicy {
  /** Answers are kept. */
  public static standard(options: CachePolicyOptions = {}): CachePolicy {
    return new CachePolicy(true, options);
  }

  /** Each request is answered anew. */
  public static off(): CachePolicy {
    return new CachePolicy(false, {});
  }

  private readonly config: CachePolicyConfig;
  private readonly semantic?: SemanticMatching;

  private constructor(enabled: boolean, options: CachePolicyOptions) {
    requireNumber('maxTemperature', options.maxTemperature, 0, 2);
    requireKnown('maxTemperature', options.maxTemperature);
    requireKnown('version', options.version);
    this.config = {
      enabled,
      ttlMs: requireDuration('ttl', options.ttl ?? Duration.hours(1), Duration.seconds(1), Duration.days(30)),
      scope: options.scope ?? CacheScope.CONSUMER,
      ...(options.maxTemperature !== undefined && { maxTemperature: options.maxTemperature }),
      requireSeed: options.requireSeed ?? false,
      tools: options.tools ?? true,
      maxRequestBytes: sizeWithin('maxRequestSize', options.maxRequestSize ?? Size.mebibytes(1), Size.mebibytes(6)),
      maxAnswerBytes: sizeWithin('maxAnswerSize', options.maxAnswerSize ?? Size.mebibytes(2), Size.mebibytes(16)),
      compressAboveBytes: sizeWithin('compressAbove', options.compressAbove ?? Size.kibibytes(2), Size.mebibytes(16)),
      paceMs: requireDuration(
        'replayInterval',
        options.replayInterval ?? Duration.millis(0),
        Duration.millis(0),
        Duration.seconds(1),
      ),
      version: options.version ?? '',
      ...(options.semantic && { semantic: renderSemanticMatching(options.semantic) }),
    };
    this.semantic = options.semantic;
  }

  /** @internal */
  public _render(): CachePolicyConfig {
    return this.config;
  }

  /**
   * Lets a function call the embedding.
   *
   * @returns variables of the function
   *
   * @internal
   */
  public _bind(context: CacheContext): Record<string, string> {
    return this.semantic?.embedding._bind(context) ?? {};
  }
}

const sizeWithin = (prop: string, value: Size, max: Size): number => requireSize(prop, value, Size.bytes(0), max);
