/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.airfield;

import java.time.LocalDate;
import java.util.LinkedHashSet;
import java.util.Set;

/** The paper form by which a glider is asked for; it has grown with every wish of the airfield. */
public class GliderForm {

  String registration;
  String hangar;
  String applicant;
  String telephone;
  String remarks;
  int hours;
  LocalDate wantedFrom;

  GliderForm(
      String registration, String hangar, String applicant, String telephone, String remarks, int hours,
      LocalDate wantedFrom) {
    this.registration = registration;
    this.hangar = hangar;
    this.applicant = applicant;
    this.telephone = telephone;
    this.remarks = remarks;
    this.hours = hours;
    this.wantedFrom = wantedFrom;
  }

  public String getApplicant() {
    return applicant;
  }

  public void setApplicant(String applicant) {
    this.applicant = applicant;
  }

  public boolean isComplete() {
    return registration != null && hangar != null && applicant != null && wantedFrom != null;
  }

  public Glider toEntry(LocalDate today) {
    LocalDate first = wantedFrom.isBefore(today) ? today : wantedFrom;
    return new Glider(registration, hangar, hours, first);
  }

  public String summary() {
    return "%s wants %d hours aloft in %s".formatted(applicant, hours, hangar);
  }

  public Set<String> missing() {
    Set<String> names = new LinkedHashSet<>();
    if (registration == null) {
      names.add("registration");
    }
    if (hangar == null) {
      names.add("hangar");
    }
    if (applicant == null) {
      names.add("applicant");
    }
    return names;
  }
}
