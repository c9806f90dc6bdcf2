import {
  type GenerateRequest,
  type ModelEvent,
  type ModelMessage,
  type ModelStop,
  type TextModel,
  TextModelError,
} from './text-model.ts';
import { countPromptTokens, countTokens } from './tokens.ts';

export interface UpstreamModelOptions {
  /** Base URL, with or without `/v1`. */
  readonly url: string;
  readonly apiKey?: string;
  /** @default - the first that the server lists */
  readonly model?: string;
}

/** A real OpenAI-compatible server (vLLM, Ollama, llama.cpp, …), through its streaming API. */
export function createUpstreamModel(options: UpstreamModelOptions): TextModel {
  let base: URL;
  try {
    base = new URL(options.url.replace(/\/+$/, ''));
  } catch (error) {
    throw new Error(`upstream ${JSON.stringify(options.url)} is not a URL, such as http://127.0.0.1:11434/v1`, {
      cause: error,
    });
  }
  const root = /\/v\d+\w*$/.test(base.pathname) ? base.href : `${base.href.replace(/\/$/, '')}/v1`;
  const headers: Record<string, string> = { 'content-type': 'application/json' };
  if (options.apiKey !== undefined) headers.authorization = `Bearer ${options.apiKey}`;
  let listed: Promise<string> | undefined;
  const modelName = (): Promise<string> => {
    if (options.model !== undefined) return Promise.resolve(options.model);
    listed ??= firstModel(root, headers).catch((error: unknown) => {
      // Not remembered: the server may just not be up yet.
      listed = undefined;
      throw error;
    });
    return listed;
  };
  return {
    description: `upstream ${root}${options.model === undefined ? '' : `, model ${options.model}`}`,
    generate: (request, signal) => generate(root, headers, modelName, request, signal),
    close: async () => {},
  };
}

async function firstModel(root: string, headers: Record<string, string>): Promise<string> {
  const response = await send(`${root}/models`, { headers });
  const body = (await response.json()) as { data?: { id?: string }[] };
  const id = body.data?.[0]?.id;
  if (id === undefined) throw new TextModelError(503, `${root}/models lists no model: name one`);
  return id;
}

async function* generate(
  root: string,
  headers: Record<string, string>,
  modelName: () => Promise<string>,
  request: GenerateRequest,
  signal: AbortSignal,
): AsyncGenerator<ModelEvent> {
  const body = toChatCompletion(request, await modelName());
  const response = await send(`${root}/chat/completions`, {
    method: 'POST',
    headers,
    body: JSON.stringify(body),
    signal,
  });
  let stop: ModelStop | undefined;
  let usage: { prompt_tokens?: number; completion_tokens?: number } | undefined;
  let tokens = 0;
  let call = -1;
  for await (const chunk of events(response)) {
    usage = chunk.usage ?? usage;
    if (chunk.error !== undefined) throw new TextModelError(502, `${root}: ${JSON.stringify(chunk.error)}`);
    const choice = chunk.choices?.[0];
    const delta = choice?.delta;
    const reasoning = delta?.reasoning_content ?? delta?.reasoning;
    if (reasoning) yield { type: 'reasoning', text: reasoning };
    if (delta?.content) {
      tokens += countTokens(delta.content);
      yield { type: 'text', text: delta.content };
    }
    for (const part of delta?.tool_calls ?? []) {
      const index = part.index ?? call + 1;
      if (index !== call) {
        call = index;
        yield { type: 'tool-call', id: part.id ?? `call_${index}`, name: part.function?.name ?? '' };
      }
      if (part.function?.arguments) yield { type: 'tool-arguments', fragment: part.function.arguments };
    }
    if (choice?.finish_reason) stop = stopOf(choice.finish_reason);
  }
  if (stop === undefined) throw new TextModelError(502, `${root}: the stream ended before its answer did`);
  yield {
    type: 'end',
    stop,
    usage: {
      // A server that doesn't report usage gets the local tokenizer's count.
      inputTokens: usage?.prompt_tokens ?? countPromptTokens(request),
      outputTokens: usage?.completion_tokens ?? tokens,
    },
  };
}

function toChatCompletion(request: GenerateRequest, model: string): Record<string, unknown> {
  const { tools, toolChoice, jsonSchema } = request;
  return {
    model,
    messages: request.messages.map(toMessage),
    stream: true,
    stream_options: { include_usage: true },
    max_tokens: request.maxTokens,
    temperature: request.temperature,
    top_p: request.topP,
    seed: request.seed,
    stop: request.stop.length > 0 ? request.stop : undefined,
    tools:
      tools.length > 0
        ? tools.map(({ name, description, schema }) => ({
            type: 'function',
            function: { name, description, parameters: schema },
          }))
        : undefined,
    tool_choice:
      tools.length === 0
        ? undefined
        : typeof toolChoice === 'object'
          ? { type: 'function', function: { name: toolChoice.name } }
          : toolChoice,
    response_format: jsonSchema
      ? { type: 'json_schema', json_schema: { name: 'answer', schema: jsonSchema } }
      : undefined,
  };
}

function toMessage(message: ModelMessage): Record<string, unknown> {
  const images = (message.images ?? []).map((image) => ({
    type: 'image_url',
    image_url: { url: `data:${image.mediaType};base64,${Buffer.from(image.bytes).toString('base64')}` },
  }));
  const calls = (message.toolCalls ?? []).map((call) => ({
    id: call.id,
    type: 'function',
    function: { name: call.name, arguments: call.arguments },
  }));
  return {
    role: message.role,
    content: images.length > 0 ? [{ type: 'text', text: message.text }, ...images] : message.text,
    ...(calls.length > 0 && { tool_calls: calls }),
    ...(message.toolCallId !== undefined && { tool_call_id: message.toolCallId }),
  };
}

interface Chunk {
  readonly error?: unknown;
  readonly usage?: { prompt_tokens?: number; completion_tokens?: number } | null;
  readonly choices?: {
    readonly finish_reason?: string | null;
    readonly delta?: {
      readonly content?: string | null;
      readonly reasoning_content?: string | null;
      readonly reasoning?: string | null;
      readonly tool_calls?: { index?: number; id?: string; function?: { name?: string; arguments?: string } }[];
    };
  }[];
}

async function* events(response: Response): AsyncGenerator<Chunk> {
  if (!response.body) return;
  const decoder = new TextDecoder();
  let buffer = '';
  for await (const bytes of response.body) {
    buffer += decoder.decode(bytes, { stream: true });
    const lines = buffer.split(/\r?\n/);
    buffer = lines.pop() ?? '';
    for (const line of lines) {
      const data = /^data: ?(.*)$/.exec(line)?.[1];
      if (data === undefined || data === '[DONE]') continue;
      yield JSON.parse(data) as Chunk;
    }
  }
}

async function send(url: string, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, init);
  } catch (error) {
    init.signal?.throwIfAborted();
    throw new TextModelError(503, `${url} doesn't answer: is the server running?`, { cause: error });
  }
  if (response.ok) return response;
  throw new TextModelError(
    response.status,
    `${url} answered ${response.status}: ${(await response.text()).slice(0, 500)}`,
  );
}

function stopOf(reason: string): ModelStop {
  if (reason === 'tool_calls' || reason === 'function_call') return 'tool-calls';
  return reason === 'length' ? 'length' : 'stop';
}
