/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.apiary;

import java.util.Optional;

/** The stages that a hive goes through in the apiary, in their usual order. */
public enum HiveState {
  /** The hive is empty. */
  EMPTY(true),
  /** The hive is settled. */
  SETTLED(true),
  /** The hive is swarming. */
  SWARMING(false),
  /** The hive is wintered. */
  WINTERED(false);

  private final boolean open;

  HiveState(boolean open) {
    this.open = open;
  }

  /** Tells whether somebody still has to act on a hive in this stage. */
  public boolean isOpen() {
    return open;
  }

  /**
   * Finds the stage of a hive that usually follows; the whole way is empty, settled, swarming, wintered.
   *
   * @return the next stage of the hive, or nothing once it is wintered
   */
  public Optional<HiveState> next() {
    HiveState[] hiveStates = values();
    int following = ordinal() + 1;
    return following < hiveStates.length ? Optional.of(hiveStates[following]) : Optional.empty();
  }
}
