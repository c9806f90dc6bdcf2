import type { ChatCompletionRequest } from '../../contract/openai.ts';
import { ATTRIBUTION_PARAMETERS } from '../parameters.ts';

export interface WireOptions {
  /** The backend's own name of the model; the public one when absent. */
  readonly model?: string;
  readonly maxTokensParameter: 'max_tokens' | 'max_completion_tokens';
  readonly streamUsage: boolean;
  readonly unsupportedParameters: readonly string[];
}

/** The request's body as the backend wants it. Parameters that this path doesn't know pass through: engines have many. */
export function wireRequest(
  request: ChatCompletionRequest,
  options: WireOptions,
  stream: boolean,
  /** Fields of the gateway's own. */
  owned: Readonly<Record<string, unknown>> = {},
): Buffer {
  const { max_completion_tokens: limit, stream_options: streamOptions, metadata, ...rest } = request;
  const body: Record<string, unknown> = { ...rest, model: options.model ?? request.model, stream, ...owned };
  if (limit != null) body[options.maxTokensParameter] = limit;
  // OpenAI refuses metadata for what it doesn't store.
  if (metadata != null && request.store === true) body.metadata = metadata;
  for (const name of ATTRIBUTION_PARAMETERS) {
    if (options.unsupportedParameters.includes(name)) delete body[name];
  }
  if (stream && options.streamUsage) body.stream_options = { ...streamOptions, include_usage: true };
  return Buffer.from(JSON.stringify(body));
}
