import { renderRouting } from '../private/routing';
import type { RoutingConfig } from '../private/serving-config';
import type { IBackend } from './backend';

/** Where a request goes first. */
export enum RouteTarget {
  /** To the policy's cheap backend; the model's other backends are its fallback. */
  CHEAP = 'cheap',
  /** To the model's backends in their order. */
  STANDARD = 'standard',
}

/** What a request may at most have to be a simple one. */
export interface SimpleRequestOptions {
  /**
   * Tokens of the whole prompt, tools and earlier messages included, as estimated by its length (four characters each).
   * 0: no request is simple, so that rules and clients alone send anything to the cheap backend.
   *
   * @default 1000
   */
  readonly maxPromptTokens?: number;

  /**
   * Messages of the user's in the conversation, at least 1.
   *
   * @default 4
   */
  readonly maxTurns?: number;

  /**
   * Whether a request with tools, or with calls of tools in its conversation, can be simple.
   *
   * @default false
   */
  readonly tools?: boolean;

  /**
   * Whether a request for an answer by a JSON schema can be simple.
   *
   * @default false
   */
  readonly jsonSchema?: boolean;

  /**
   * Whether a request with images, or anything else that isn't text, can be simple.
   *
   * @default false
   */
  readonly images?: boolean;

  /**
   * Whether a request with a `reasoning_effort` above `low` can be simple.
   *
   * @default false
   */
  readonly reasoning?: boolean;
}

/** A rule of your own: it applies where all of its conditions are met. It needs at least one. */
export interface RoutingRule {
  /** Names the rule in the header `x-llm-route` and in the log: 1–40 lower-case letters, digits or `-`. */
  readonly name: string;

  /** Where such a request goes. */
  readonly route: RouteTarget;

  /**
   * One of these regular expressions (JavaScript's, case-insensitive, Unicode) matches what the user said. For
   * `RouteTarget.CHEAP` in the conversation's first user message, for `STANDARD` in any of them, so that a conversation
   * never goes to and fro. The first 2,000 characters of a message are searched, 8,000 of a conversation.
   *
   * @default - whatever the user said
   */
  readonly patterns?: string[];

  /**
   * The request's feature (`metadata.feature` or `x-llm-feature`) is one of these.
   *
   * @default - any, or none
   */
  readonly features?: string[];

  /**
   * The consumer's tier is one of these.
   *
   * @default - any
   */
  readonly tiers?: string[];

  /**
   * The consumer is one of these.
   *
   * @default - any
   */
  readonly consumers?: string[];

  /**
   * For each of these keys, the request's `metadata` has one of the values.
   *
   * @default - any
   */
  readonly metadata?: { [key: string]: string[] };
}

/** What a routing policy says. */
export interface RoutingPolicyOptions {
  /**
   * What simple requests go to first: one of the model's backends, and not the first of them. The model's others are its
   * fallback, in their order, under the model's `FallbackPolicy`.
   */
  readonly cheap: IBackend;

  /**
   * What a request may at most have to be a simple one.
   *
   * @default - as `SimpleRequestOptions` says
   */
  readonly simple?: SimpleRequestOptions;

  /**
   * Rules of your own, at most 20; the first that applies decides. They come before the client's word and before what
   * the request looks like.
   *
   * @default - none
   */
  readonly rules?: RoutingRule[];

  /**
   * Whether clients may say themselves, with the header `x-llm-priority`, what an answer's quality is worth to them:
   * `low` goes to the cheap backend, `high` doesn't, `normal` leaves it to the policy.
   *
   * @default true
   */
  readonly clientPriority?: boolean;
}

/**
 * Sends requests that a cheap backend is good enough for to that backend first. It changes the order in which a model's
 * backends are asked and nothing else: breakers, fallback, quality checks and deadlines apply as ever, and a backend that
 * can't take a request (its parameters, its length) isn't asked for being cheap.
 */
export class RoutingPolicy {
  /** A policy. Errors name the option or the rule, its value and what it may be. */
  public static of(options: RoutingPolicyOptions): RoutingPolicy {
    return new RoutingPolicy(options);
  }

  /** What simple requests go to first. */
  public readonly cheap: IBackend;

  private readonly config: RoutingConfig;

  private constructor(options: RoutingPolicyOptions) {
    this.cheap = options.cheap;
    this.config = renderRouting(options);
  }

  /** @internal */
  public _render(): RoutingConfig {
    return this.config;
  }
}
