import type { BackendOptions } from './backend';

/** How a model on Bedrock is asked for an answer that fits a JSON schema (`response_format: json_schema`). */
export enum BedrockJsonSchema {
  /** A tool with that schema, which the model must call. Every model that can use tools can do it. */
  TOOL = 'tool',
  /** Converse's own `outputConfig`: the answer is held to the schema while it is generated. */
  OUTPUT_CONFIG = 'output-config',
}

/** How `reasoning_effort` is passed on to a model on Bedrock. */
export enum BedrockReasoning {
  /** Not at all: a request with it goes to another backend or is refused. */
  NONE = 'none',
  /** As a budget of thinking tokens (Claude up to 4.5). */
  ANTHROPIC_BUDGET = 'anthropic-budget',
  /** As an effort (Claude from 4.6 on, Nova 2, OpenAI's open-weight models). */
  EFFORT = 'effort',
}

/** Bedrock's service tiers: price against latency. */
export enum BedrockServiceTier {
  /** Bedrock's standard tier. */
  DEFAULT = 'default',
  /** Cheaper, slower when Bedrock is busy. */
  FLEX = 'flex',
  /** Dearer, served first. */
  PRIORITY = 'priority',
  /** Capacity that you have reserved. */
  RESERVED = 'reserved',
}

/** When a guardrail sees a streamed answer. */
export enum GuardrailStreamMode {
  /** Before the client does; adds latency. */
  SYNC = 'sync',
  /** While the client does; what it objects to may already have been read. */
  ASYNC = 'async',
}

/** A guardrail of Amazon Bedrock that every request and answer goes through. */
export interface BedrockGuardrail {
  /** The guardrail's id or ARN. Where it is known only at deploy, its ARN (`guardrail.attrGuardrailArn`). */
  readonly guardrailId: string;

  /**
   * Its version: a number, or `DRAFT`.
   *
   * @default 'DRAFT'
   */
  readonly guardrailVersion?: string;

  /**
   * When it sees a streamed answer.
   *
   * @default - Bedrock's: SYNC
   */
  readonly streamMode?: GuardrailStreamMode;
}

/** Options of a model on Bedrock. */
export interface BedrockBackendOptions extends BackendOptions {
  /**
   * The region to call.
   *
   * @default - the stack's
   */
  readonly region?: string;

  /**
   * The foundation model behind an inference profile, for the permission, the price and what it can do.
   *
   * @default - taken from the id; needed for the ARN of an application inference profile
   */
  readonly foundationModelId?: string;

  /**
   * The regions to which an inference profile may send a request: the function may invoke the foundation model there,
   * through this profile only.
   *
   * @default - every region of the geography that the profile's id begins with (`us.`, `eu.`, `apac.`, …); for an
   * application inference profile the region of the call
   */
  readonly profileRegions?: string[];

  /**
   * A guardrail for every request and answer.
   *
   * @default - none
   */
  readonly guardrail?: BedrockGuardrail;

  /**
   * Bedrock's service tier.
   *
   * @default - Bedrock's: DEFAULT
   */
  readonly serviceTier?: BedrockServiceTier;

  /**
   * Place cache points in the prompt, so that what repeats (system prompt, tools, the conversation so far) is billed
   * at a fraction. Some models charge more for writing to the cache: it pays when prompts share a long beginning.
   *
   * @default false
   */
  readonly promptCaching?: boolean;

  /**
   * How an answer that fits a JSON schema is asked for.
   *
   * @default - OUTPUT_CONFIG for models known to have it, else TOOL
   */
  readonly jsonSchema?: BedrockJsonSchema;

  /**
   * How `reasoning_effort` is passed on.
   *
   * @default - as the model's family takes it
   */
  readonly reasoning?: BedrockReasoning;

  /**
   * Whether the model takes images.
   *
   * @default - false for models known to be text-only
   */
  readonly images?: boolean;

  /**
   * Whether the model can use tools while it streams.
   *
   * @default - false for models known not to
   */
  readonly tools?: boolean;
}
