import { randomUUID } from 'node:crypto';
import type { BackendConfigOf } from '../../contract/config.ts';
import type { ChatCompletionRequest } from '../../contract/openai.ts';
import type { Backend, BackendCall, Frame, Usage } from '../backend.ts';

const NO_USAGE: Usage = {
  inputTokens: 0,
  outputTokens: 0,
  cachedInputTokens: 0,
  cacheWriteTokens: 0,
  reasoningTokens: 0,
};
const WIRE_USAGE = { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 };

/**
 * The last resort: the same text whatever was asked, when no model is there to answer. It takes any request and claims
 * no tokens, for no model read or wrote any.
 */
export const createStaticReplyBackend = ({ id, text }: BackendConfigOf<'static-reply'>): Backend =>
  createFixedReplies(id, () => text);

export function createFixedReplies(id: string, textFor: (request: ChatCompletionRequest) => string): Backend {
  const envelope = (call: BackendCall, object: string) => ({
    id: `chatcmpl-${randomUUID().replaceAll('-', '')}`,
    object,
    created: Math.floor(Date.now() / 1000),
    model: call.request.model,
  });

  async function* frames(call: BackendCall): AsyncGenerator<Frame> {
    const chunk = envelope(call, 'chat.completion.chunk');
    const delta = { role: 'assistant', content: textFor(call.request) };
    yield toFrame({ ...chunk, choices: [{ index: 0, delta, logprobs: null, finish_reason: null }] }, { output: true });
    yield toFrame(
      { ...chunk, choices: [{ index: 0, delta: {}, logprobs: null, finish_reason: 'stop' }] },
      { output: true, finishReason: 'stop' },
    );
    yield toFrame({ ...chunk, choices: [], usage: WIRE_USAGE }, { output: false, usage: NO_USAGE, usageOnly: true });
  }

  return {
    id,
    unsupportedParameter: () => undefined,
    stream: async (call) => ({ frames: frames(call) }),
    complete: async (call) => ({
      completion: {
        ...envelope(call, 'chat.completion'),
        object: 'chat.completion',
        choices: [
          {
            index: 0,
            message: { role: 'assistant', content: textFor(call.request), refusal: null },
            logprobs: null,
            finish_reason: 'stop',
          },
        ],
        usage: { ...WIRE_USAGE },
      },
      usage: NO_USAGE,
    }),
  };
}

function toFrame(chunk: object, facts: Partial<Frame> & { output: boolean }): Frame {
  return { bytes: Buffer.from(`data: ${JSON.stringify(chunk)}\n\n`), usageOnly: false, ...facts };
}
