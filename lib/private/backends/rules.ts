import { createHash } from 'node:crypto';
import type { IBackend, ReplyRule, RulesBackendOptions } from '../../model/backend';
import { TokenPrice } from '../../model/token-price';
import type { BackendBinding } from '../backend-binding';
import { requirePattern } from '../patterns';
import { backendIdOf, commonConfig } from './base';
import { requireReply } from './static-reply';

/** They stand in the function's code. */
const MAX_RULES = 100;

export class RulesBackend implements IBackend {
  public readonly backendId: string;
  public readonly price = TokenPrice.free();

  constructor(
    private readonly rules: ReplyRule[],
    private readonly options: RulesBackendOptions,
  ) {
    if (rules.length === 0 || rules.length > MAX_RULES) {
      throw new Error(`rules must be 1–${MAX_RULES}, got ${rules.length}: use Backend.staticReply for a single text`);
    }
    for (const { pattern, reply } of rules) {
      requirePattern('rules', pattern);
      requireReply(reply);
    }
    if (options.otherwise !== undefined) requireReply(options.otherwise);
    const digest = createHash('sha256')
      .update(JSON.stringify([rules, options.otherwise]))
      .digest('hex')
      .slice(0, 8);
    this.backendId = backendIdOf(options.backendId, 'rules', digest);
  }

  /** @internal */
  public _bind(): BackendBinding {
    return {
      config: {
        kind: 'rules',
        ...commonConfig(this.backendId, this.price, {}),
        rules: this.rules.map(({ pattern, reply }) => ({ pattern, reply })),
        ...(this.options.otherwise !== undefined && { otherwise: this.options.otherwise }),
      },
      environment: {},
    };
  }
}
