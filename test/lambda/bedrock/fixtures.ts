import type { Backend, BackendCall, Frame } from '../../../lambda/backends/backend.ts';
import { BackendError } from '../../../lambda/backends/backend.ts';
import type { BedrockConfig } from '../../../lambda/backends/bedrock/settings.ts';
import type { ChatCompletionChunk, ChatCompletionRequest } from '../../../lambda/contract/openai.ts';

export function bedrockConfig(overrides: Partial<BedrockConfig> = {}): BedrockConfig {
  return {
    kind: 'bedrock',
    id: 'bedrock-claude',
    modelId: 'us.anthropic.claude-haiku-4-5-20251001-v1:0',
    region: 'eu-west-1',
    price: { input: 1, output: 5, cachedInput: 0.1, cacheWrite: 1.25 },
    deadlines: { connectMs: 2_000, firstTokenMs: 5_000, betweenTokensMs: 5_000 },
    promptCaching: false,
    jsonSchema: 'tool',
    images: true,
    tools: true,
    ...overrides,
  };
}

export function chat(overrides: Partial<ChatCompletionRequest> = {}): ChatCompletionRequest {
  return { model: 'chat', messages: [{ role: 'user', content: 'What is a lighthouse?' }], ...overrides };
}

export function callOf(
  request: ChatCompletionRequest,
  signal: AbortSignal = new AbortController().signal,
): BackendCall {
  return { requestId: 'req-1', request, attribution: { consumer: 'acme' }, signal };
}

export function chunkOf(frame: Frame): ChatCompletionChunk {
  const text = new TextDecoder().decode(frame.bytes);
  const match = /^data: (.*)\n\n$/s.exec(text);
  if (!match?.[1]) throw new Error(`not one whole event: ${JSON.stringify(text)}`);
  return JSON.parse(match[1]) as ChatCompletionChunk;
}

export interface Collected {
  readonly frames: Frame[];
  readonly chunks: ChatCompletionChunk[];
  readonly deltas: Record<string, unknown>[];
  readonly content: string;
  readonly finishReason: string | undefined;
}

export async function collect(frames: AsyncIterable<Frame>): Promise<Collected> {
  const all: Frame[] = [];
  for await (const frame of frames) all.push(frame);
  const chunks = all.map(chunkOf);
  const deltas = chunks.flatMap((chunk) => chunk.choices.map((choice) => choice.delta as Record<string, unknown>));
  return {
    frames: all,
    chunks,
    deltas,
    content: deltas.map((delta) => (typeof delta.content === 'string' ? delta.content : '')).join(''),
    finishReason: all.find((frame) => frame.finishReason !== undefined)?.finishReason,
  };
}

export async function streamed(backend: Backend, request: ChatCompletionRequest): Promise<Collected> {
  const { frames } = await backend.stream(callOf(request));
  return collect(frames);
}

/** The error, which must be a BackendError; fails when there is none. */
export async function errorOf(promise: Promise<unknown>): Promise<BackendError> {
  const error = await promise.then(
    () => new Error('it did not fail'),
    (thrown: unknown) => thrown,
  );
  if (error instanceof BackendError) return error;
  throw error;
}

export const weatherTool = {
  type: 'function' as const,
  function: {
    name: 'get_weather',
    description: 'The weather in a city',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
};

/** The smallest PNG that is one. */
export const PNG =
  'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
