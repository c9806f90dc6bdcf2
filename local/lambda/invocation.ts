import type { Readable } from 'node:stream';

/** What a function answered. A streamed body fails with a `FunctionError` when the function failed after it began. */
export type InvocationResponse =
  | { readonly kind: 'buffered'; readonly requestId: string; readonly payload: Buffer }
  | {
      readonly kind: 'streaming';
      readonly requestId: string;
      readonly contentType: string;
      /** Must be read to its end or `resume()`d: a function isn't interrupted when its caller goes away. */
      readonly body: Readable;
    };

/** The function was invoked and failed: it threw, timed out, exited, or couldn't be initialized. */
export class FunctionError extends Error {
  override readonly name = 'FunctionError';
  readonly type: string;

  constructor(type: string, message: string) {
    super(message);
    this.type = type;
  }

  /** The body of a failed `Invoke`, as a caller of Lambda gets it. */
  get payload(): { errorType: string; errorMessage: string } {
    return { errorType: this.type, errorMessage: this.message };
  }
}

/** Lambda's `TooManyRequestsException`: no execution environment may be added. */
export class ThrottledError extends Error {
  override readonly name = 'ThrottledError';
}

/** Lambda's `RequestTooLargeException`. */
export class RequestTooLargeError extends Error {
  override readonly name = 'RequestTooLargeError';
}

/** Bytes of a synchronous invocation's event, and of a buffered answer: Lambda quotas, 6 MB. */
export const MAX_SYNCHRONOUS_PAYLOAD = 6 * 1024 * 1024;
