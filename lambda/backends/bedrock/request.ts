import type {
  ConverseCommandInput,
  ConverseStreamCommandInput,
  InferenceConfiguration,
  OutputConfig,
} from '@aws-sdk/client-bedrock-runtime';
import type { ChatCompletionRequest } from '../../contract/openai.ts';
import type { BackendCall } from '../backend.ts';
import { answerTool } from './answer-tool.ts';
import { withCachePoints } from './caching.ts';
import { toConversation } from './messages.ts';
import { reasoningFields } from './reasoning.ts';
import { toRequestMetadata } from './request-metadata.ts';
import { type BedrockConfig, modelFamily } from './settings.ts';
import { toToolConfig } from './tools.ts';

type Fields = NonNullable<ConverseCommandInput['additionalModelRequestFields']>;

/** A chat completion request as Converse's. @throws RequestProblem */
export function toConverse(call: Omit<BackendCall, 'signal'>, config: BedrockConfig): ConverseCommandInput {
  const { request } = call;
  const toolConfig = toToolConfig(request, config, answerTool(request, config));
  const extra = reasoningFields(request, config);
  const conversation = toConversation(request.messages, {
    toolsAsText: toolConfig === undefined,
    withReasoning: Object.keys(extra).length > 0,
  });
  const plain = { toolConfig, system: conversation.system.map((text) => ({ text })), turns: conversation.turns };
  const prompt = config.promptCaching
    ? withCachePoints(plain, modelFamily(config.foundationModelId ?? config.modelId))
    : plain;
  const inferenceConfig = toInferenceConfig(request);
  const outputConfig = toOutputConfig(request, config);
  return {
    modelId: config.modelId,
    messages: [...prompt.turns],
    ...(prompt.system.length > 0 && { system: [...prompt.system] }),
    ...(prompt.toolConfig && { toolConfig: prompt.toolConfig }),
    ...(Object.keys(inferenceConfig).length > 0 && { inferenceConfig }),
    ...(Object.keys(extra).length > 0 && { additionalModelRequestFields: extra as Fields }),
    ...(outputConfig && { outputConfig }),
    ...(config.guardrail && {
      guardrailConfig: { guardrailIdentifier: config.guardrail.id, guardrailVersion: config.guardrail.version },
    }),
    ...(config.serviceTier && { serviceTier: { type: config.serviceTier } }),
    requestMetadata: toRequestMetadata(call.attribution, call.requestId),
  } satisfies ConverseCommandInput;
}

/** The same for ConverseStream, which has a little more to say about guardrails. */
export function toConverseStream(call: Omit<BackendCall, 'signal'>, config: BedrockConfig): ConverseStreamCommandInput {
  const input = toConverse(call, config);
  const streamProcessingMode = config.guardrail?.streamProcessingMode;
  if (!input.guardrailConfig || !streamProcessingMode) return input;
  return { ...input, guardrailConfig: { ...input.guardrailConfig, streamProcessingMode } };
}

function toInferenceConfig(request: ChatCompletionRequest): InferenceConfiguration {
  const stop = typeof request.stop === 'string' ? [request.stop] : (request.stop ?? []);
  const stopSequences = stop.filter((sequence) => sequence !== '');
  const maxTokens = request.max_completion_tokens ?? request.max_tokens;
  return {
    ...(maxTokens && { maxTokens }),
    ...(typeof request.temperature === 'number' && { temperature: request.temperature }),
    ...(typeof request.top_p === 'number' && { topP: request.top_p }),
    ...(stopSequences.length > 0 && { stopSequences }),
  };
}

function toOutputConfig(request: ChatCompletionRequest, config: BedrockConfig): OutputConfig | undefined {
  const format = request.response_format;
  if (format?.type !== 'json_schema' || config.jsonSchema !== 'output-config') return undefined;
  const { name, description, schema } = format.json_schema;
  return {
    textFormat: {
      type: 'json_schema',
      structure: {
        jsonSchema: { name, schema: JSON.stringify(schema ?? { type: 'object' }), ...(description && { description }) },
      },
    },
  };
}
