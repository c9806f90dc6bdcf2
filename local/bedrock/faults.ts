import type { ServiceErrorName } from './errors.ts';

/** What goes wrong with a request, on purpose. */
export type Fault =
  /** An error instead of an answer. */
  | {
      readonly type: 'error';
      readonly name: ServiceErrorName;
      readonly message?: string;
      readonly retryAfterSeconds?: number;
    }
  /** An exception in the stream after so many of its events. */
  | {
      readonly type: 'exception';
      readonly name: StreamException;
      readonly afterEvents: number;
      readonly message?: string;
    }
  /** Silence after so many events; 0: not even the status comes. */
  | { readonly type: 'stall'; readonly afterEvents: number }
  /** The connection breaks after so many events; 0: before the status. */
  | { readonly type: 'cut'; readonly afterEvents: number }
  /** The stream ends as if all were well, after so many events. */
  | { readonly type: 'end'; readonly afterEvents: number };

/** The members of ConverseStreamOutput that are exceptions, as they are spelled on the wire. */
export type StreamException =
  | 'internalServerException'
  | 'modelStreamErrorException'
  | 'serviceUnavailableException'
  | 'throttlingException'
  | 'validationException';

export interface RuntimeRequest {
  readonly modelId: string;
  readonly operation: 'Converse' | 'ConverseStream' | 'InvokeModel';
  /** `2.0` or `1.1` */
  readonly httpVersion: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Readonly<Record<string, unknown>>;
}

/** Asked for each request, in the order of arrival. */
export type Faults = (request: RuntimeRequest, index: number) => Fault | undefined;
