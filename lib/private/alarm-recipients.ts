import { Names } from 'aws-cdk-lib';
import { CfnMicrosoftTeamsChannelConfiguration, SlackChannelConfiguration } from 'aws-cdk-lib/aws-chatbot';
import { ManagedPolicy, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { ITopic } from 'aws-cdk-lib/aws-sns';
import { EmailSubscription, UrlSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import { Construct } from 'constructs';
import type { AlarmRecipients } from '../cost/alarm-topic';
import { acknowledgeManagedPolicy } from './acknowledge';
import { requireUnique } from './validation';

/** What a channel may do at most, whoever writes in it: look at metrics and alarms. The service's own default is all. */
const CHAT_POLICY = 'CloudWatchReadOnlyAccess';

/** @param scope holds what channels need */
export function addRecipients(scope: Construct, topic: ITopic, recipients: AlarmRecipients): void {
  for (const email of recipients.emails ?? []) {
    if (!/^[^\s@]+@[^\s@]+$/.test(email)) throw new Error(`emails must hold e-mail addresses, got "${email}"`);
    topic.addSubscription(new EmailSubscription(email));
  }
  for (const endpoint of recipients.httpsEndpoints ?? []) {
    if (!endpoint.startsWith('https://')) {
      throw new Error(`httpsEndpoints must hold addresses that begin with https://, got "${endpoint}"`);
    }
    topic.addSubscription(new UrlSubscription(endpoint));
  }
  const channels = [...(recipients.slackChannels ?? []), ...(recipients.teamsChannels ?? [])];
  requireUnique(
    'slackChannels and teamsChannels',
    channels.map(({ channelId }) => channelId),
  );
  for (const { workspaceId, channelId } of recipients.slackChannels ?? []) {
    const holder = new Construct(scope, `Slack${channelId}`);
    new SlackChannelConfiguration(holder, 'Channel', {
      slackChannelConfigurationName: configurationName(holder),
      slackWorkspaceId: workspaceId,
      slackChannelId: channelId,
      notificationTopics: [topic],
      role: chatRole(holder),
      guardrailPolicies: [ManagedPolicy.fromAwsManagedPolicyName(CHAT_POLICY)],
    });
  }
  for (const { tenantId, teamId, channelId } of recipients.teamsChannels ?? []) {
    const holder = new Construct(scope, `Teams${channelId.replaceAll(/\W/g, '')}`);
    new CfnMicrosoftTeamsChannelConfiguration(holder, 'Channel', {
      configurationName: configurationName(holder),
      teamsTenantId: tenantId,
      teamId,
      teamsChannelId: channelId,
      snsTopicArns: [topic.topicArn],
      iamRoleArn: chatRole(holder).roleArn,
      guardrailPolicies: [ManagedPolicy.fromAwsManagedPolicyName(CHAT_POLICY).managedPolicyArn],
    });
  }
}

/** Unique in the account. */
function configurationName(scope: Construct): string {
  return Names.uniqueResourceName(scope, { maxLength: 128, separator: '-' });
}

function chatRole(scope: Construct): Role {
  const role = new Role(scope, 'Role', {
    assumedBy: new ServicePrincipal('chatbot.amazonaws.com'),
    managedPolicies: [ManagedPolicy.fromAwsManagedPolicyName(CHAT_POLICY)],
  });
  acknowledgeManagedPolicy(
    role,
    CHAT_POLICY,
    'Amazon Q shows the graph of the metric that an alarm is about, and the policy of AWS lets it read metrics and no more.',
  );
  return role;
}
