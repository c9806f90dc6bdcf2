/**
 * What generates text in the local run: simulated, another server, or llama.cpp. One neutral shape between it and the
 * servers in front (Bedrock Runtime, OpenAI-compatible), so that each of these stays a pure protocol adapter.
 */
export interface TextModel {
  /** One line for people: what answers, and that it is simulated if it is. */
  readonly description: string;
  /**
   * Yields as the text is generated. The last event is always `end`; an error is thrown as a `TextModelError`.
   * `return()` or the signal stop the generation.
   */
  generate(request: GenerateRequest, signal: AbortSignal): AsyncIterable<ModelEvent>;
  close(): Promise<void>;
}

export interface GenerateRequest {
  /** The name that the caller used. A model is free to ignore it. */
  readonly model: string;
  readonly messages: readonly ModelMessage[];
  readonly tools: readonly ModelTool[];
  readonly toolChoice: ModelToolChoice;
  /** Answer with JSON that satisfies this schema. */
  readonly jsonSchema?: JsonSchema;
  readonly maxTokens?: number;
  readonly temperature?: number;
  readonly topP?: number;
  readonly stop: readonly string[];
  readonly seed?: number;
  /** Think aloud first. */
  readonly reasoning: boolean;
}

export interface ModelMessage {
  readonly role: 'system' | 'user' | 'assistant' | 'tool';
  readonly text: string;
  readonly images?: readonly ModelImage[];
  /** Of an assistant's message. */
  readonly toolCalls?: readonly ModelToolCall[];
  /** Of a tool's message: the call that it answers. */
  readonly toolCallId?: string;
}

export interface ModelImage {
  /** `image/png`, `image/jpeg`, … */
  readonly mediaType: string;
  readonly bytes: Uint8Array;
}

export interface ModelToolCall {
  readonly id: string;
  readonly name: string;
  /** JSON */
  readonly arguments: string;
}

export interface ModelTool {
  readonly name: string;
  readonly description?: string;
  readonly schema: JsonSchema;
}

export type ModelToolChoice = 'auto' | 'none' | 'required' | { readonly name: string };

export type JsonSchema = Readonly<Record<string, unknown>>;

export type ModelEvent =
  | { readonly type: 'reasoning'; readonly text: string }
  | { readonly type: 'text'; readonly text: string }
  /** A call begins; its arguments follow until the next event of another type. */
  | { readonly type: 'tool-call'; readonly id: string; readonly name: string }
  | { readonly type: 'tool-arguments'; readonly fragment: string }
  | { readonly type: 'end'; readonly stop: ModelStop; readonly usage: ModelUsage };

export type ModelStop = 'stop' | 'stop-sequence' | 'length' | 'tool-calls';

export interface ModelUsage {
  readonly inputTokens: number;
  readonly outputTokens: number;
}

export class TextModelError extends Error {
  override readonly name = 'TextModelError';
  /** As an HTTP status would say it: 400 the request's fault, 429 busy, 503 not there. */
  readonly status: number;

  constructor(status: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
  }
}
