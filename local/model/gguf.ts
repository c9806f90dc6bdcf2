import { statSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { EventQueue } from './event-queue.ts';
import { requireGguf } from './gguf-file.ts';
import {
  type Llama,
  type LlamaFunctionCall,
  type LlamaHistoryItem,
  type LlamaModule,
  type LlamaSequence,
  loadLlamaCpp,
} from './gguf-install.ts';
import {
  type GenerateRequest,
  type ModelEvent,
  type ModelMessage,
  type ModelTool,
  type TextModel,
  TextModelError,
} from './text-model.ts';

/** Answers at once; more wait for their turn. Each has a context of its own in memory. */
const SEQUENCES = 2;
/** Tokens of prompt and answer. Larger ones take gigabytes. */
const MAX_CONTEXT = 8_192;

/** Below it, more threads than one only wait for each other: a token takes a second instead of a millisecond. */
const TINY_BYTES = 50 * 1024 * 1024;

/** A real model, in this process: llama.cpp with a GGUF file. @throws when the file is no model */
export async function createGgufModel(file: string): Promise<TextModel> {
  requireGguf(file);
  const modelPath = resolve(file);
  const module = await loadLlamaCpp();
  const llama = await module.getLlama({
    gpu: process.platform === 'darwin' ? 'auto' : false,
    build: 'never',
    skipDownload: true,
    progressLogs: false,
    logLevel: 'error',
  });
  const model = await llama.loadModel({ modelPath });
  const contextSize = Math.min(MAX_CONTEXT, model.trainContextSize);
  const isTiny = statSync(modelPath).size < TINY_BYTES;
  const context = await model.createContext({ contextSize, sequences: SEQUENCES, ...(isTiny && { threads: 1 }) });
  const pool = new Pool(Array.from({ length: SEQUENCES }, () => context.getSequence()));
  return {
    description: `llama.cpp with ${basename(file)} (${contextSize} tokens of context)`,
    generate: (request, signal) => generate(module, llama, pool, request, signal),
    close: () => llama.dispose(),
  };
}

async function* generate(
  module: LlamaModule,
  llama: Llama,
  pool: Pool,
  request: GenerateRequest,
  signal: AbortSignal,
): AsyncGenerator<ModelEvent> {
  if (request.messages.some((message) => (message.images ?? []).length > 0)) {
    throw new TextModelError(400, 'this model takes no images');
  }
  const sequence = await pool.take(signal);
  const stop = new AbortController();
  const chat = new module.LlamaChat({ contextSequence: sequence });
  const queue = new EventQueue<ModelEvent>();
  const done = answer(llama, chat, sequence, request, queue, AbortSignal.any([signal, stop.signal])).then(
    () => queue.end(),
    (error: unknown) => queue.end(signal.aborted ? signal.reason : error),
  );
  try {
    yield* queue;
  } finally {
    stop.abort();
    await done;
    chat.dispose({ disposeSequence: false });
    pool.give(sequence);
  }
}

async function answer(
  llama: Llama,
  chat: InstanceType<LlamaModule['LlamaChat']>,
  sequence: LlamaSequence,
  request: GenerateRequest,
  queue: EventQueue<ModelEvent>,
  signal: AbortSignal,
): Promise<void> {
  const before = sequence.tokenMeter.getState();
  const forced = forcedTool(request);
  const schema = forced?.schema ?? request.jsonSchema;
  if (forced) queue.push({ type: 'tool-call', id: callId(), name: forced.name });
  let call = -1;
  const result = await chat.generateResponse(toHistory(request), {
    signal,
    maxTokens: request.maxTokens,
    // llama.cpp's own default is 0: always the same answer.
    temperature: request.temperature ?? 0.8,
    topP: request.topP,
    seed: request.seed,
    customStopTriggers: request.stop.filter(Boolean),
    onResponseChunk: ({ type, text }: { type?: string; text: string }) => {
      if (text === '') return;
      if (type === 'segment') queue.push({ type: 'reasoning', text });
      else queue.push(forced ? { type: 'tool-arguments', fragment: text } : { type: 'text', text });
    },
    ...(schema
      ? { grammar: await llama.createGrammarForJsonSchema(schema) }
      : {
          functions: toFunctions(request),
          documentFunctionParams: true,
          onFunctionCallParamsChunk: (chunk: { callIndex: number; functionName: string; paramsChunk: string }) => {
            if (chunk.callIndex !== call) queue.push({ type: 'tool-call', id: callId(), name: chunk.functionName });
            call = chunk.callIndex;
            if (chunk.paramsChunk) queue.push({ type: 'tool-arguments', fragment: chunk.paramsChunk });
          },
        }),
  });
  const used = sequence.tokenMeter.diff(before);
  const calls = forced ? 1 : (result.functionCalls?.length ?? 0);
  const { stopReason } = result.metadata;
  queue.push({
    type: 'end',
    stop:
      stopReason === 'maxTokens'
        ? 'length'
        : calls > 0
          ? 'tool-calls'
          : stopReason === 'customStopTrigger'
            ? 'stop-sequence'
            : 'stop',
    usage: {
      // What the sequence already held of the prompt isn't evaluated again, but it was prompt all the same.
      inputTokens: Math.max(used.usedInputTokens, sequence.nextTokenIndex - used.usedOutputTokens),
      outputTokens: used.usedOutputTokens,
    },
  });
}

let calls = 0;
function callId(): string {
  calls += 1;
  return `call_${Date.now().toString(36)}${calls.toString(36)}`;
}

/** llama.cpp can't be told to call one of several: only a choice that leaves one is forced, by its grammar. */
function forcedTool({ tools, toolChoice }: GenerateRequest): ModelTool | undefined {
  if (typeof toolChoice === 'object') return tools.find((tool) => tool.name === toolChoice.name);
  return toolChoice === 'required' && tools.length === 1 ? tools[0] : undefined;
}

function toFunctions({ tools, toolChoice }: GenerateRequest): object | undefined {
  if (tools.length === 0 || toolChoice === 'none') return undefined;
  return Object.fromEntries(tools.map(({ name, description, schema }) => [name, { description, params: schema }]));
}

function toHistory(request: GenerateRequest): LlamaHistoryItem[] {
  const history: LlamaHistoryItem[] = [];
  const open = new Map<string, LlamaFunctionCall>();
  for (const message of request.messages) {
    if (message.role === 'tool') {
      const call = open.get(message.toolCallId ?? '');
      if (call) call.result = message.text;
    } else if (message.role === 'assistant') {
      history.push({ type: 'model', response: toResponse(message, open) });
    } else {
      history.push({ type: message.role, text: message.text });
    }
  }
  // The answer is written into the last item, which must be the model's.
  if (history.at(-1)?.type !== 'model') history.push({ type: 'model', response: [] });
  return history;
}

function toResponse(message: ModelMessage, open: Map<string, LlamaFunctionCall>): (string | LlamaFunctionCall)[] {
  const calls = (message.toolCalls ?? []).map((call) => {
    const item: LlamaFunctionCall = {
      type: 'functionCall',
      name: call.name,
      params: JSON.parse(call.arguments || '{}'),
      result: '',
    };
    open.set(call.id, item);
    return item;
  });
  return message.text === '' ? calls : [message.text, ...calls];
}

class Pool {
  readonly #free: LlamaSequence[];
  readonly #waiting: ((sequence: LlamaSequence) => void)[] = [];

  constructor(sequences: LlamaSequence[]) {
    this.#free = sequences;
  }

  take(signal: AbortSignal): Promise<LlamaSequence> {
    signal.throwIfAborted();
    const free = this.#free.pop();
    if (free) return Promise.resolve(free);
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        this.#waiting.splice(this.#waiting.indexOf(onFree), 1);
        reject(signal.reason);
      };
      const onFree = (sequence: LlamaSequence) => {
        signal.removeEventListener('abort', onAbort);
        resolve(sequence);
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.push(onFree);
    });
  }

  give(sequence: LlamaSequence): void {
    const next = this.#waiting.shift();
    if (next) next(sequence);
    else this.#free.push(sequence);
  }
}
