/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.airfield;

import java.util.Optional;

/** The stages that a glider goes through in the airfield, in their usual order. */
public enum GliderState {
  /** The glider is parked. */
  PARKED(true),
  /** The glider is towed. */
  TOWED(true),
  /** The glider is aloft. */
  ALOFT(false),
  /** The glider is grounded. */
  GROUNDED(false);

  private final boolean open;

  GliderState(boolean open) {
    this.open = open;
  }

  /** Tells whether somebody still has to act on a glider in this stage. */
  public boolean isOpen() {
    return open;
  }

  /**
   * Finds the stage of a glider that usually follows; the whole way is parked, towed, aloft, grounded.
   *
   * @return the next stage of the glider, or nothing once it is grounded
   */
  public Optional<GliderState> next() {
    GliderState[] gliderStates = values();
    int following = ordinal() + 1;
    return following < gliderStates.length ? Optional.of(gliderStates[following]) : Optional.empty();
  }
}
