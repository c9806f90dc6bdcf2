import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager';
import type { ModelFleet } from '../fleet/model-fleet';
import type { CacheContext } from '../private/cache-binding';
import { bedrockEmbedding, fleetEmbedding, openAiCompatibleEmbedding, openAiEmbedding } from '../private/embeddings';
import type { EmbeddingConfig } from '../private/serving-config';

/** What turns a prompt into a vector. Made by `Embedding`'s factories. */
export interface IEmbedding {
  /** Names it in logs, in metrics and in the ledger, where backends have theirs. */
  readonly embeddingId: string;

  /** How many numbers a vector has. */
  readonly dimensions: number;

  /** @internal */
  _render(): EmbeddingConfig;

  /** @internal */
  _bind(context: CacheContext): Record<string, string>;
}

/** Options that every embedding has. */
export interface EmbeddingOptions {
  /**
   * Names it in logs, in metrics and in the ledger: lower-case letters, digits and `-`, at most 64.
   *
   * @default - `embedding-` and what the model is called
   */
  readonly embeddingId?: string;

  /**
   * USD per million tokens. Each request that is looked up costs this, hit or miss.
   *
   * @default - the list price; synthesis fails where none is known
   */
  readonly pricePerMillionTokensUsd?: number;
}

/** Options of an embedding on Bedrock. */
export interface BedrockEmbeddingOptions extends EmbeddingOptions {
  /**
   * How many numbers a vector has: fewer take less memory and tell less. Titan V2 has 256, 512 or 1024; of other models
   * there is no choice.
   *
   * @default - the model's most
   */
  readonly dimensions?: number;

  /**
   * The region to call.
   *
   * @default - the stack's
   */
  readonly region?: string;
}

/** Options of an embedding of OpenAI. */
export interface OpenAiEmbeddingOptions extends EmbeddingOptions {
  /** The secret that holds the API key. */
  readonly apiKey: ISecret;

  /**
   * The field that holds the key, where the secret is a JSON object.
   *
   * @default - the whole secret is the key
   */
  readonly apiKeyField?: string;

  /**
   * How many numbers a vector has, 1–4096. OpenAI is asked for that many.
   *
   * @default 1536
   */
  readonly dimensions?: number;
}

/** Options of an embedding by a fleet. */
export interface FleetEmbeddingOptions extends EmbeddingOptions {
  /** How many numbers the model's vectors have, 1–4096. */
  readonly dimensions: number;
}

/** Options of an embedding by a server with an OpenAI-compatible API. */
export interface OpenAiCompatibleEmbeddingOptions extends EmbeddingOptions {
  /** The server's own name of the model. */
  readonly model: string;

  /** How many numbers the model's vectors have, 1–4096. */
  readonly dimensions: number;

  /**
   * The secret that holds the server's API key.
   *
   * @default - no credential is sent
   */
  readonly apiKey?: ISecret;

  /**
   * The field that holds the key, where the secret is a JSON object.
   *
   * @default - the whole secret is the key
   */
  readonly apiKeyField?: string;

  /**
   * The request header that carries the key, as it is.
   *
   * @default - `Authorization: Bearer <key>`
   */
  readonly apiKeyHeader?: string;

  /**
   * Whether the server is asked for that number of dimensions (models that can be cut to several), or has them anyway.
   *
   * @default false
   */
  readonly sendDimensions?: boolean;

  /**
   * Allow an unencrypted `http:` URL whose host isn't this machine. Prompts can then be read by whoever is on the way:
   * only for a server inside your own VPC.
   *
   * @default false
   */
  readonly allowHttp?: boolean;
}

/** What can turn a prompt into a vector. */
export abstract class Embedding {
  /**
   * A text embedding on Amazon Bedrock: Titan Text Embeddings or Cohere Embed 3. The function may invoke this model and
   * no other.
   *
   * @param modelId such as `amazon.titan-embed-text-v2:0`, `cohere.embed-english-v3`, `cohere.embed-multilingual-v3`
   */
  public static bedrock(modelId: string, options: BedrockEmbeddingOptions = {}): IEmbedding {
    return bedrockEmbedding(modelId, options);
  }

  /**
   * An embedding of OpenAI.
   *
   * @param model OpenAI's name of it, such as `text-embedding-3-small`
   */
  public static openAi(model: string, options: OpenAiEmbeddingOptions): IEmbedding {
    return openAiEmbedding(model, options);
  }

  /**
   * A server with OpenAI's `POST /embeddings`: vLLM, Text Embeddings Inference, llama.cpp, any provider that offers one.
   *
   * @param url the API's base, up to and without `/embeddings`: `https://embed.example.com/v1`
   */
  public static openAiCompatible(url: string, options: OpenAiCompatibleEmbeddingOptions): IEmbedding {
    return openAiCompatibleEmbedding(url, options);
  }

  /** A fleet whose engine serves an embedding model. The gateway's function must be in its VPC. */
  public static fleet(fleet: ModelFleet, options: FleetEmbeddingOptions): IEmbedding {
    return fleetEmbedding(fleet, options);
  }

  private constructor() {}
}
