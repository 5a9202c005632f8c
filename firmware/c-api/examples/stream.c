/* A detector of raw samples in C: windows, features, scores, alarms.
 *
 * model.h is what `flowlet export motor.flow --format c-header --name model -o model.h` writes of an image that was trained
 * with --stream. samples.h stands for the sensor: `static const int16_t samples[][MODEL_CHANNELS] = {{...}, ...};`, in
 * counts. Numbers are sent as the bits of their floats, so that they can be compared with the host's. */

#include "board.h"
#include "flowlet.h"
#include "model.h"
#include "samples.h"

static flowlet_model_t model;
static flowlet_stream_t stream;
static uint32_t workspace[MODEL_WORKSPACE_WORDS];
/* A window's samples, and scratch. */
static uint32_t buffer[MODEL_STREAM_WORDS];

static int failed(flowlet_status_t status)
{
    board_send("error: ");
    board_send(flowlet_strerror(status));
    board_send("\n");
    return 1;
}

/* Scores the window that is complete. */
static flowlet_status_t judge(void)
{
    float features[MODEL_INPUTS];
    flowlet_score_t score;
    size_t feature;
    flowlet_status_t status = flowlet_features(&stream, features, MODEL_INPUTS);

    if (status == FLOWLET_OK) {
        status = flowlet_score(&model, features, MODEL_INPUTS, workspace, MODEL_WORKSPACE_WORDS, &score);
    }
    if (status != FLOWLET_OK) {
        return status;
    }
    board_send("features");
    for (feature = 0; feature < MODEL_INPUTS; feature++) {
        board_send_bits(features[feature]);
    }
    board_send("\nscore");
    board_send_bits(score.log_prob);
    board_send_bits(score.p_value);
    board_send_bits(score.score);
    board_send(score.alarm ? " alarm\n" : "\n");
    return FLOWLET_OK;
}

int main(void)
{
    size_t at;
    flowlet_status_t status = flowlet_open(&model, model_image, MODEL_IMAGE_BYTES);

    if (status == FLOWLET_OK) {
        status = flowlet_self_test(&model, workspace, MODEL_WORKSPACE_WORDS);
    }
    if (status == FLOWLET_OK) {
        status = flowlet_stream_open(&stream, &model, buffer, MODEL_STREAM_WORDS);
    }
    for (at = 0; status == FLOWLET_OK && at < sizeof samples / sizeof samples[0]; at++) {
        bool complete = false;

        status = flowlet_push_counts(&stream, samples[at], MODEL_CHANNELS, &complete);
        if (status == FLOWLET_OK && complete) {
            status = judge();
        }
    }
    return status == FLOWLET_OK ? 0 : failed(status);
}
