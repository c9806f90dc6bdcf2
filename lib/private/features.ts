import { Token } from 'aws-cdk-lib';
import { requireUnique } from './validation';

/** What the handler takes as a feature's name. */
const FEATURE = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,63}$/;

/** CloudWatch metrics are paid for each value of a dimension, times models, backends and tiers. */
const MAX_FEATURES = 50;

export function requireFeatures(features: readonly string[]): void {
  requireUnique('features', features);
  if (features.length > MAX_FEATURES) {
    throw new Error(`features must have at most ${MAX_FEATURES} names, got ${features.length}: each is a paid metric`);
  }
  for (const feature of features) {
    if (Token.isUnresolved(feature) || !FEATURE.test(feature)) {
      throw new Error(
        `features must hold names of 1–64 letters, digits or "._/-" that begin with a letter or digit, got "${feature}"`,
      );
    }
    if (feature === 'none' || feature === 'other') {
      throw new Error(`features must not hold "${feature}": it stands for requests without a declared feature`);
    }
  }
}
