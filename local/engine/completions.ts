import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import type { GenerateRequest, ModelEvent, ModelUsage } from '../model/text-model.ts';
import { badRequest } from './errors.ts';

/** `/v1/completions`, the API before chats: a prompt is continued. */
export interface CompletionRequest {
  readonly prompts: readonly GenerateRequest[];
  readonly stream: boolean;
  readonly includeUsage: boolean;
}

/** OpenAI's default, which engines share. */
const DEFAULT_MAX_TOKENS = 16;

/** @throws EngineError */
export function fromCompletion(body: unknown): CompletionRequest {
  if (typeof body !== 'object' || body === null) throw badRequest('the body is not an object');
  const { prompt, max_tokens, stop, stream, stream_options, temperature, seed } = body as Record<string, unknown>;
  const texts = promptsOf(prompt);
  const options = stream_options as { include_usage?: unknown } | null | undefined;
  return {
    prompts: texts.map((text) => ({
      model: String((body as { model?: unknown }).model),
      messages: [{ role: 'user', text }],
      tools: [],
      toolChoice: 'none',
      maxTokens: typeof max_tokens === 'number' ? max_tokens : DEFAULT_MAX_TOKENS,
      ...(typeof temperature === 'number' ? { temperature } : {}),
      ...(typeof seed === 'number' ? { seed } : {}),
      stop: typeof stop === 'string' ? [stop] : Array.isArray(stop) ? stop.map(String) : [],
      reasoning: false,
    })),
    stream: stream === true,
    includeUsage: options?.include_usage === true,
  };
}

/** A text, several, ids of tokens, or several lists of them. */
function promptsOf(prompt: unknown): string[] {
  const isIds = (value: unknown): value is number[] =>
    Array.isArray(value) && value.length > 0 && value.every((id) => Number.isInteger(id));
  const one = (value: unknown): string | undefined => {
    if (typeof value === 'string') return value;
    return isIds(value) ? value.join(' ') : undefined;
  };
  const all = Array.isArray(prompt) && !isIds(prompt) ? prompt.map(one) : [one(prompt)];
  if (all.length === 0 || all.some((text) => text === undefined || text === '')) {
    throw badRequest('Either prompt or prompt_embeds must be provided and non-empty.', 'prompt');
  }
  return all as string[];
}

/** Answers all prompts of a request; an error before the first token is the caller's to write. */
export async function answerCompletion(
  response: ServerResponse,
  model: string,
  request: CompletionRequest,
  answers: ReadonlyArray<AsyncIterable<ModelEvent>>,
): Promise<void> {
  const head = {
    id: `cmpl-${randomUUID().replaceAll('-', '')}`,
    object: 'text_completion',
    created: Math.floor(Date.now() / 1000),
    model,
  };
  const { stream, includeUsage } = request;
  const usages: ModelUsage[] = [];
  const send = (choices: unknown[], usage?: unknown): void => {
    if (!response.headersSent) response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
    response.write(`data: ${JSON.stringify({ ...head, choices, ...(includeUsage && { usage: usage ?? null }) })}\n\n`);
  };
  const choices = await Promise.all(
    answers.map(async (events, index) => {
      let text = '';
      for await (const event of events) {
        if (event.type === 'text') {
          text += event.text;
          if (stream) send([{ index, text: event.text, logprobs: null, finish_reason: null }]);
        }
        if (event.type === 'end') {
          usages.push(event.usage);
          const choice = { index, logprobs: null, finish_reason: event.stop === 'length' ? 'length' : 'stop' };
          if (stream) send([{ ...choice, text: '' }]);
          return { ...choice, text };
        }
      }
      throw new Error('the model ended without an end');
    }),
  );
  const prompt_tokens = usages.reduce((sum, usage) => sum + usage.inputTokens, 0);
  const completion_tokens = usages.reduce((sum, usage) => sum + usage.outputTokens, 0);
  const usage = { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens };
  if (stream) {
    if (includeUsage) send([], usage);
    response.end('data: [DONE]\n\n');
    return;
  }
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ ...head, choices, usage }));
}
