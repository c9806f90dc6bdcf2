import { randomUUID } from 'node:crypto';
import type { ConverseStreamOutput } from '@aws-sdk/client-bedrock-runtime';
import type { BackendCall, Frame, StreamedAnswer, WholeAnswer } from '../backend.ts';
import { answerTool } from './answer-tool.ts';
import { CallDeadline } from './call-deadline.ts';
import { sharedClient } from './client.ts';
import { toBackendError } from './errors.ts';
import { inlineRemoteImages } from './remote-images.ts';
import { toConverse, toConverseStream } from './request.ts';
import { type AnswerOptions, toFrames } from './response-stream.ts';
import { toCompletion } from './response-whole.ts';
import type { BedrockConfig } from './settings.ts';

/** Loaded with the SDK on the first call. */
export async function complete(config: BedrockConfig, call: BackendCall): Promise<WholeAnswer> {
  const deadline = new CallDeadline(config.id, call.signal);
  try {
    // A whole answer has no first token to wait for: the caller's signal ends it.
    const client = sharedClient(config.region, config.deadlines.connectMs);
    const input = toConverse(await withImages(call, deadline), config);
    return toCompletion(await client.converse(input, deadline.signal, call.onSent), answerOptions(config, call));
  } catch (error) {
    throw deadline.reason(error) ?? toBackendError(config.id, error);
  } finally {
    deadline.clear();
  }
}

export async function stream(config: BedrockConfig, call: BackendCall): Promise<StreamedAnswer> {
  const deadline = new CallDeadline(config.id, call.signal);
  try {
    const client = sharedClient(config.region, config.deadlines.connectMs);
    deadline.arm(config.deadlines.firstTokenMs, 'the first token');
    const input = toConverseStream(await withImages(call, deadline), config);
    const output = await client.converseStream(input, deadline.signal);
    const events = watched(output.stream ?? [], deadline, config.deadlines.betweenTokensMs);
    return { frames: freeing(toFrames(events, answerOptions(config, call)), deadline, config.id) };
  } catch (error) {
    const reason = deadline.reason(error) ?? toBackendError(config.id, error);
    deadline.clear();
    throw reason;
  }
}

async function withImages(call: BackendCall, deadline: CallDeadline): Promise<BackendCall> {
  return { ...call, request: await inlineRemoteImages(call.request, { signal: deadline.signal }) };
}

function answerOptions(config: BedrockConfig, call: BackendCall): AnswerOptions {
  return {
    backend: config.id,
    modelId: config.foundationModelId ?? config.modelId,
    id: `chatcmpl-${randomUUID().replaceAll('-', '')}`,
    created: Math.floor(Date.now() / 1000),
    model: call.request.model,
    throughTool: answerTool(call.request, config) !== undefined,
    oneToolCall: call.request.parallel_tool_calls === false,
  };
}

/** Deadlines count only while an event is waited for, not while the consumer is busy with the last one. */
async function* watched(
  events: AsyncIterable<ConverseStreamOutput> | Iterable<ConverseStreamOutput>,
  deadline: CallDeadline,
  betweenTokensMs: number,
): AsyncGenerator<ConverseStreamOutput> {
  let begun = false;
  for await (const event of events) {
    begun ||= event.contentBlockStart !== undefined || event.contentBlockDelta !== undefined;
    if (begun) deadline.disarm();
    yield event;
    if (begun) deadline.arm(betweenTokensMs, 'the next token');
  }
}

/** The connection is freed however the frames end: read to the end, returned early (even before the first), thrown. */
function freeing(frames: AsyncGenerator<Frame>, deadline: CallDeadline, backend: string): AsyncIterable<Frame> {
  const iterator: AsyncIterator<Frame> = {
    next: async () => {
      try {
        const result = await frames.next();
        if (result.done) deadline.clear();
        return result;
      } catch (error) {
        const reason = deadline.reason(error) ?? toBackendError(backend, error);
        deadline.clear();
        throw reason;
      }
    },
    return: async () => {
      deadline.clear();
      await frames.return(undefined).catch(() => undefined);
      return { done: true, value: undefined };
    },
  };
  return { [Symbol.asyncIterator]: () => iterator };
}
