import type { Backend } from '../backends/backend.ts';
import type { BackendConfig } from '../contract/config.ts';

/** A backend that can honour the request. */
export interface Candidate {
  readonly config: BackendConfig;
  readonly backend: Backend;
}

/** It stands in for models that fail: no model of its own. */
export const isStandIn = ({ kind }: BackendConfig): boolean => kind === 'static-reply' || kind === 'rules';
