/** Cost alarms and a dashboard on a gateway, telling a topic that the on-call rotation has subscribed to already. */
import { App, Stack } from 'aws-cdk-lib';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { Backend, CostAlarms, LlmServing, Model, MonthlyBudget, ServingDashboard } from 'cdk-llm-serving';

const app = new App();
const stack = new Stack(app, 'Costs');

const { gateway } = new LlmServing(stack, 'Serving', {
  models: [new Model(stack, 'Chat', { backends: [Backend.bedrock('amazon.nova-lite-v1:0')] })],
});

const topic = Topic.fromTopicArn(stack, 'OnCall', 'arn:aws:sns:us-east-1:111122223333:on-call');
const costAlarms = new CostAlarms(stack, 'CostAlarms', { gateway, topic, monthlyBudgetUsd: 2000 });
new MonthlyBudget(stack, 'Budget', { topic, limitUsd: 2500 });
new ServingDashboard(stack, 'Dashboard', { gateway, costAlarms });
