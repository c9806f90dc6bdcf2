import type { Duration } from 'aws-cdk-lib';
import type { ModelFleet } from '../fleet/model-fleet';
import type { BackendBinding, BackendContext } from '../private/backend-binding';
import { BedrockBackend } from '../private/backends/bedrock';
import { FleetBackend } from '../private/backends/fleet';
import { anthropic, openAi, openAiCompatible, vertexAi } from '../private/backends/openai-compatible';
import { RulesBackend } from '../private/backends/rules';
import { StaticReplyBackend } from '../private/backends/static-reply';
import type { BedrockBackendOptions } from './bedrock';
import type {
  AnthropicBackendOptions,
  OpenAiBackendOptions,
  OpenAiCompatibleBackendOptions,
  VertexAiBackendOptions,
} from './openai-compatible';
import type { TokenPrice } from './token-price';

/** One place that can answer. Made by `Backend`'s factories. */
export interface IBackend {
  /** Names the backend in the `x-llm-backend` header, in logs and in metrics. Unique within a gateway. */
  readonly backendId: string;

  /** What its tokens cost. */
  readonly price: TokenPrice;

  /** What it calls that no VPC endpoint leads to; undefined when nothing is. @internal */
  readonly _internet?: string;

  /** @internal */
  _bind(context: BackendContext): BackendBinding;
}

/** Options that every backend has. */
export interface BackendOptions {
  /**
   * Names the backend in the `x-llm-backend` header, in logs and in metrics: lower-case letters, digits and `-`,
   * at most 64. Unique within a gateway.
   *
   * @default - made from the provider and the model, `bedrock-amazon-nova-lite-v1-0`
   */
  readonly backendId?: string;

  /**
   * What its tokens cost.
   *
   * @default - the list price; synthesis fails where none is known
   */
  readonly price?: TokenPrice;

  /**
   * How long DNS, TCP and TLS may take, at most 1 minute.
   *
   * @default Duration.seconds(5)
   */
  readonly connectTimeout?: Duration;

  /**
   * How long the first token may take, from the request's dispatch, at most 15 minutes.
   *
   * @default Duration.minutes(2)
   */
  readonly firstTokenTimeout?: Duration;

  /**
   * How long a started answer may be silent between two tokens, at most 15 minutes.
   *
   * @default Duration.minutes(1)
   */
  readonly betweenTokensTimeout?: Duration;

  /**
   * How long an answer that isn't streamed may take, at most 4 minutes and 55 seconds. Nothing of it is seen before it
   * is finished, so that without this deadline a backend that hangs would use up the others' time.
   *
   * @default - an equal share of the time that is left, with each backend that could still be asked
   */
  readonly wholeAnswerTimeout?: Duration;

  /**
   * How many tokens prompt and answer may have together. A prompt that is surely too long isn't sent there, and one that
   * is too long for another backend is.
   *
   * @default - not checked: the backend refuses what it can't take
   */
  readonly contextWindow?: number;

  /**
   * How many tokens an answer may have: a request that asks for more is clamped to this.
   *
   * @default - the model's and the tier's maximum alone
   */
  readonly maxOutputTokens?: number;
}

/** Options of a fleet as a backend. */
export interface FleetBackendOptions extends BackendOptions {
  /**
   * Tokens, of prompts and answers together, that one task is expected to process in an hour: what its price is spread
   * over.
   *
   * @default 1000000 - for each GPU of a task
   */
  readonly expectedTokensPerHour?: number;
}

/** Options of a fixed reply. */
export interface StaticReplyBackendOptions {
  /**
   * Names the backend in the `x-llm-backend` header, in logs and in metrics.
   *
   * @default - `static-reply-` and a digest of the text
   */
  readonly backendId?: string;
}

/** A fixed reply to what its pattern matches. */
export interface ReplyRule {
  /**
   * A regular expression (JavaScript's, case-insensitive, Unicode) on the first 2,000 characters of the last user
   * message. One that a hostile text could keep busy for long is refused.
   */
  readonly pattern: string;

  /** What is said then, at most 4,000 characters. */
  readonly reply: string;
}

/** Options of replies by rules. */
export interface RulesBackendOptions {
  /**
   * Names the backend in the `x-llm-backend` header, in logs and in metrics.
   *
   * @default - `rules-` and a digest of the rules
   */
  readonly backendId?: string;

  /**
   * What is said when no rule matches, at most 4,000 characters.
   *
   * @default - nothing: the model's next backend is asked
   */
  readonly otherwise?: string;
}

/**
 * The places that can answer: a model on Bedrock, a fleet, a server with an OpenAI-compatible API, a fixed text.
 *
 * The same backend may serve several models.
 */
export abstract class Backend {
  /**
   * A model on Amazon Bedrock, through its Converse API. The function may invoke this model and no other.
   *
   * @param modelId a foundation model's id (`amazon.nova-lite-v1:0`), the id of an inference profile
   * (`us.amazon.nova-lite-v1:0`), or the ARN of an inference profile, an application inference profile, a provisioned,
   * custom or imported model
   */
  public static bedrock(modelId: string, options: BedrockBackendOptions = {}): IBackend {
    return new BedrockBackend(modelId, options);
  }

  /**
   * A server with an OpenAI-compatible API: vLLM, llama.cpp, Ollama, LiteLLM, any provider that offers one.
   *
   * @param url the API's base, up to and without `/chat/completions`: `https://llm.example.com/v1`
   */
  public static openAiCompatible(url: string, options: OpenAiCompatibleBackendOptions = {}): IBackend {
    return openAiCompatible(url, options);
  }

  /**
   * A model of OpenAI.
   *
   * @param model OpenAI's name of the model
   */
  public static openAi(model: string, options: OpenAiBackendOptions): IBackend {
    return openAi(model, options);
  }

  /**
   * A Claude model at Anthropic, through the OpenAI-compatible part of its API. That part ignores some parameters;
   * a request that has one of them goes to another backend or is refused. The same models on Bedrock can do more.
   *
   * @param model Anthropic's name of the model
   */
  public static anthropic(model: string, options: AnthropicBackendOptions): IBackend {
    return anthropic(model, options);
  }

  /**
   * A model on Google Cloud's Vertex AI, through its OpenAI-compatible endpoint.
   *
   * @param model the model with its publisher, `google/gemini-2.5-flash`; without one, Google's
   */
  public static vertexAi(model: string, options: VertexAiBackendOptions): IBackend {
    return vertexAi(model, options);
  }

  /**
   * A fleet of your own GPUs. The gateway's function must be in its VPC: `GatewayCompute.lambda({ vpc: fleet.vpc })`.
   *
   * Its price, unless given, is that of a task's instance spread over `expectedTokensPerHour`.
   */
  public static fleet(fleet: ModelFleet, options: FleetBackendOptions = {}): IBackend {
    return new FleetBackend(fleet, options);
  }

  /**
   * Always the same text, at no cost: the last resort that still answers when nothing else does.
   *
   * @param text what it says, at most 4,000 characters
   */
  public static staticReply(text: string, options: StaticReplyBackendOptions = {}): IBackend {
    return new StaticReplyBackend(text, options);
  }

  /**
   * Fixed replies by what the last user message says, at no cost: the first rule that matches. As the last backends of a
   * model they answer when the others have failed; before others they answer what needs no model.
   *
   * @param rules at most 100
   */
  public static rules(rules: ReplyRule[], options: RulesBackendOptions = {}): IBackend {
    return new RulesBackend(rules, options);
  }

  private constructor() {}
}
