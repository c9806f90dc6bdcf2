import { BackendError } from '../backend.ts';

/** @throws BackendError when the model's output was of no use, so that another backend may do better */
export function toFinishReason(stopReason: string | undefined, calledTools: boolean, backend: string): string {
  switch (stopReason) {
    case 'max_tokens':
    case 'model_context_window_exceeded':
      return 'length';
    case 'guardrail_intervened':
    case 'content_filtered':
      return 'content_filter';
    case 'malformed_model_output':
    case 'malformed_tool_use':
      throw new BackendError(backend, 'server', `the model's output could not be read (${stopReason})`);
    default:
      // `tool_use` without a client's tool: the answer came through the answer tool.
      return calledTools ? 'tool_calls' : 'stop';
  }
}
