/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.airfield;

import java.lang.annotation.Documented;
import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;

/**
 * Marks a method that changes the books of the airfield, so that the audit can find it.
 *
 * <p>The audit reads it by reflection; it has no effect of its own.
 */
@Documented
@Retention(RetentionPolicy.RUNTIME)
@Target(ElementType.METHOD)
public @interface ChangesGlider {

  /** Says in a few words why the glider is changed. */
  String value();

  /** Names the stages in which the change is allowed; all of them when empty. */
  GliderState[] allowedIn() default {};

  /** Gives the fewest hours aloft that a glider must have to be changed in this way. */
  int fewestHours() default 0;
}
