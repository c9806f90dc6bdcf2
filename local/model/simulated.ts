import { hash, type Pace, Pacer, seededRandom } from './pace.ts';
import { simulatedAnswer } from './simulated-answer.ts';
import type { GenerateRequest, ModelEvent, ModelStop, TextModel } from './text-model.ts';
import { countPromptTokens, tokenize } from './tokens.ts';

export interface SimulatedModelOptions extends Pace {
  /** Text answers have exactly this many tokens (for measurements); as long as they come otherwise. */
  readonly answerTokens?: number;
}

/** A stand-in for a model: text made from the prompt, labelled as simulated, at a realistic pace. */
export function createSimulatedModel(options: SimulatedModelOptions): TextModel {
  return {
    description: `simulated model (no model is running; ${options.tokensPerSecond} tokens/s, first after ${options.timeToFirstTokenMs} ms)`,
    generate: (request, signal) => generate(request, signal, options),
    close: async () => {},
  };
}

async function* generate(
  request: GenerateRequest,
  signal: AbortSignal,
  options: SimulatedModelOptions,
): AsyncGenerator<ModelEvent> {
  const answer = simulatedAnswer(request);
  const random = seededRandom(
    hash(JSON.stringify(request.messages.map((message) => message.text))) + (request.seed ?? 0),
  );
  const pacer = new Pacer(options, random, signal);
  const budget = request.maxTokens ?? Number.POSITIVE_INFINITY;
  let spent = 0;

  async function* emit(tokens: readonly string[], event: (token: string) => ModelEvent): AsyncGenerator<ModelEvent> {
    for (const token of tokens) {
      if (spent >= budget) return;
      await pacer.next();
      spent += 1;
      yield event(token);
    }
  }

  yield* emit(tokenize(answer.reasoning), (text) => ({ type: 'reasoning', text }));
  const text = cutAtStop(resize(answer.text, options.answerTokens, request), request.stop);
  const wanted = spent + text.tokens.length;
  yield* emit(text.tokens, (token) => ({ type: 'text', text: token }));
  let stop: ModelStop = spent < wanted ? 'length' : text.stopped ? 'stop-sequence' : 'stop';
  if (answer.call && spent < budget) {
    const tokens = tokenize(answer.call.arguments);
    const end = spent + tokens.length;
    yield { type: 'tool-call', id: answer.call.id, name: answer.call.name };
    yield* emit(tokens, (fragment) => ({ type: 'tool-arguments', fragment }));
    stop = spent < end ? 'length' : 'tool-calls';
  } else if (answer.call) {
    stop = 'length';
  }
  yield { type: 'end', stop, usage: { inputTokens: countPromptTokens(request), outputTokens: spent } };
}

function resize(text: string, length: number | undefined, request: GenerateRequest): string[] {
  const tokens = tokenize(text);
  if (length === undefined || request.jsonSchema || tokens.length === 0) return tokens;
  return Array.from({ length }, (_, i) => tokens[i % tokens.length] ?? ' ');
}

function cutAtStop(tokens: string[], stops: readonly string[]): { tokens: string[]; stopped: boolean } {
  const text = tokens.join('');
  const at = stops
    .filter(Boolean)
    .map((stop) => text.indexOf(stop))
    .filter((index) => index >= 0);
  if (at.length === 0) return { tokens, stopped: false };
  return { tokens: tokenize(text.slice(0, Math.min(...at))), stopped: true };
}
