import type { ServerResponse } from 'node:http';
import type { ModelEvent, ModelStop, ModelUsage } from './text-model.ts';

export interface AnswerOptions {
  readonly includeUsage: boolean;
  /** @default usageOf */
  readonly usage?: (usage: ModelUsage) => unknown;
  /** Beside those of an event stream. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** What all of an answer's parts carry. */
export interface AnswerHead {
  readonly id: string;
  readonly created: number;
  readonly model: string;
}

/** Writes an answer as server-sent events, `[DONE]` included; an error is the caller's to write. */
export async function streamAnswer(
  response: ServerResponse,
  head: AnswerHead,
  events: AsyncIterable<ModelEvent>,
  { includeUsage, usage = usageOf, headers = {} }: AnswerOptions,
): Promise<void> {
  const send = (choices: unknown[], tokens?: unknown) => {
    const chunk = { ...head, object: 'chat.completion.chunk', choices, ...(includeUsage && { usage: tokens ?? null }) };
    response.write(`data: ${JSON.stringify(chunk)}\n\n`);
  };
  const delta = (fields: unknown, finishReason: string | null = null) =>
    send([{ index: 0, delta: fields, logprobs: null, finish_reason: finishReason }]);
  let calls = 0;
  let started = false;
  for await (const event of events) {
    if (!started) {
      // Only now: an error before the first token keeps its status.
      response.writeHead(200, {
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-cache',
        ...headers,
      });
      delta({ role: 'assistant', content: '' });
      started = true;
    }
    switch (event.type) {
      case 'reasoning':
        delta({ reasoning_content: event.text });
        break;
      case 'text':
        delta({ content: event.text });
        break;
      case 'tool-call': {
        const call = { id: event.id, type: 'function', function: { name: event.name, arguments: '' } };
        delta({ tool_calls: [{ index: calls, ...call }] });
        calls += 1;
        break;
      }
      case 'tool-arguments':
        delta({ tool_calls: [{ index: calls - 1, function: { arguments: event.fragment } }] });
        break;
      case 'end':
        delta({}, finishReason(event.stop));
        if (includeUsage) send([], usage(event.usage));
        break;
    }
  }
  response.end('data: [DONE]\n\n');
}

/** An answer as one object. @throws Error when the events end before `end` */
export async function wholeAnswer(
  head: AnswerHead,
  events: AsyncIterable<ModelEvent>,
  usage: (usage: ModelUsage) => unknown = usageOf,
): Promise<unknown> {
  const calls: { id: string; type: 'function'; function: { name: string; arguments: string } }[] = [];
  let content = '';
  let reasoning = '';
  for await (const event of events) {
    if (event.type === 'text') content += event.text;
    if (event.type === 'reasoning') reasoning += event.text;
    if (event.type === 'tool-call') {
      calls.push({ id: event.id, type: 'function', function: { name: event.name, arguments: '' } });
    }
    const call = calls.at(-1);
    if (event.type === 'tool-arguments' && call) call.function.arguments += event.fragment;
    if (event.type === 'end') {
      const message = {
        role: 'assistant',
        content: calls.length > 0 && content === '' ? null : content,
        ...(reasoning && { reasoning_content: reasoning }),
        ...(calls.length > 0 && { tool_calls: calls }),
        refusal: null,
      };
      return {
        ...head,
        object: 'chat.completion',
        choices: [{ index: 0, message, logprobs: null, finish_reason: finishReason(event.stop) }],
        usage: usage(event.usage),
      };
    }
  }
  throw new Error('the model ended without an end');
}

function finishReason(stop: ModelStop): string {
  if (stop === 'tool-calls') return 'tool_calls';
  return stop === 'length' ? 'length' : 'stop';
}

/** Tokens as the API reports them. */
export const usageOf = (usage: ModelUsage) => ({
  prompt_tokens: usage.inputTokens,
  completion_tokens: usage.outputTokens,
  total_tokens: usage.inputTokens + usage.outputTokens,
});
