import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager';
import type { BackendOptions } from './backend';

/** What a server calls the limit of output tokens. Clients may use either name. */
export enum MaxTokensParameter {
  /** The older name, which most servers know. */
  MAX_TOKENS = 'max_tokens',
  /** OpenAI's newer name. */
  MAX_COMPLETION_TOKENS = 'max_completion_tokens',
}

/** Options of a server with an OpenAI-compatible API. */
export interface OpenAiCompatibleBackendOptions extends BackendOptions {
  /**
   * The server's own name of the model.
   *
   * @default - the name that the client asked for
   */
  readonly model?: string;

  /**
   * The secret that holds the server's API key. It is read at run time and cached; the function may read this secret
   * and no other.
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
   * Fixed request headers. They stand in the function's code: not for secrets.
   *
   * @default - none
   */
  readonly headers?: { [name: string]: string };

  /**
   * Parameters of a chat completion that the server refuses or ignores. A request with one of them goes to the model's
   * next backend, or is refused with a 400 that names it.
   *
   * @default - none
   */
  readonly unsupportedParameters?: string[];

  /**
   * What the server calls the limit of output tokens.
   *
   * @default MaxTokensParameter.MAX_TOKENS
   */
  readonly maxTokensParameter?: MaxTokensParameter;

  /**
   * Whether the server understands `stream_options.include_usage`. If not, tokens are estimated.
   *
   * @default true
   */
  readonly streamUsage?: boolean;

  /**
   * Whether the server goes on with an unfinished last message when the request has `continue_final_message`, as vLLM
   * and SGLang do. A stream that broke off elsewhere is then resumed seamlessly; otherwise the model is asked to go on.
   *
   * @default false
   */
  readonly continueFinalMessage?: boolean;

  /**
   * Allow an unencrypted `http:` URL whose host isn't this machine. Prompts, answers and the API key can then be read
   * by whoever is on the way: only for a server inside your own VPC.
   *
   * @default false
   */
  readonly allowHttp?: boolean;
}

/** Options of a model of OpenAI. */
export interface OpenAiBackendOptions extends BackendOptions {
  /** The secret that holds the API key. */
  readonly apiKey: ISecret;

  /**
   * The field that holds the key, where the secret is a JSON object.
   *
   * @default - the whole secret is the key
   */
  readonly apiKeyField?: string;

  /**
   * OpenAI's organization to bill.
   *
   * @default - the key's
   */
  readonly organization?: string;

  /**
   * OpenAI's project to bill.
   *
   * @default - the key's
   */
  readonly project?: string;
}

/** Options of a model at Anthropic. */
export interface AnthropicBackendOptions extends BackendOptions {
  /** The secret that holds the API key. */
  readonly apiKey: ISecret;

  /**
   * The field that holds the key, where the secret is a JSON object.
   *
   * @default - the whole secret is the key
   */
  readonly apiKeyField?: string;

  /**
   * Parameters of a chat completion that it refuses or ignores. A request with one of them goes to the model's next
   * backend, or is refused with a 400 that names it.
   *
   * @default - those that its documentation names
   */
  readonly unsupportedParameters?: string[];
}

/** Options of a model on Vertex AI. */
export interface VertexAiBackendOptions extends BackendOptions {
  /** The Google Cloud project. */
  readonly projectId: string;

  /**
   * The location to call: a region such as `europe-west4`, or `global`.
   *
   * @default 'global'
   */
  readonly location?: string;

  /**
   * The secret that holds a service account's JSON key, or a workload identity federation configuration. The account
   * needs the role Vertex AI User (`roles/aiplatform.user`).
   */
  readonly credentials: ISecret;

  /**
   * The field that holds the JSON (as text or as an object), where the secret holds more than that.
   *
   * @default - the whole secret
   */
  readonly credentialsField?: string;

  /**
   * Parameters of a chat completion that it refuses or ignores. A request with one of them goes to the model's next
   * backend, or is refused with a 400 that names it.
   *
   * @default - those that its documentation names
   */
  readonly unsupportedParameters?: string[];
}
